package vws

import (
	"errors"
	"fmt"

	"github.com/polywire/polywire/core"
)

// maxMessage is the original's biggest client message in bytes, and also what
// the original client takes at most.
const maxMessage = 32768

// Options are what an endpoint of this format can set.
type Options struct {
	// AllowSend says which events clients may publish, besides what an
	// [core.Authorizer] says.
	//
	//	false             none (the default)
	//	true              all
	//	drop              none, but they are acknowledged
	//	sensors/#         those to topics that match a pattern; any other text
	//	{prefix: client/} those to topics that begin with a text
	//
	// The texts "true" and "false", as they come from the environment, are these values
	// and not patterns.
	AllowSend any `koanf:"allow_send"`
	// InitialSubscriptions are patterns to which every connection is subscribed
	// when it opens. SubscribePrefix does not apply to them; clients can
	// unsubscribe from them.
	InitialSubscriptions []string `koanf:"initial_subscriptions"`
	// SubscribePrefix is how the patterns that clients subscribe to and unsubscribe from
	// must begin. If it is empty, any pattern may be used.
	SubscribePrefix string `koanf:"subscribe_prefix"`
	// MaxEventSize is the biggest event in bytes, encoded, that is sent to a
	// client; bigger ones are dropped. The original client in Go leaves for good
	// when it receives more than the default, 32768. 0: there is no bound.
	MaxEventSize int `koanf:"max_event_size"`
	// DrainClose is how connections end when the broker drains: DrainGoodbye (also if it
	// is empty), or DrainHard for clients such as the original's in Go, which connect
	// again only after an end without a close frame.
	DrainClose string `koanf:"drain_close"`
}

// The values of Options.DrainClose.
const (
	// DrainGoodbye sends the close frame 1001.
	DrainGoodbye = "goodbye"
	// DrainHard ends the TCP connection without a close frame.
	DrainHard = "hard"
)

// Protocol introduces the format. Its New takes the bound on client messages from max, or
// 32768 if max is not positive. The goodbye to a client that exceeds the bound names it.
func Protocol() core.Protocol {
	return core.Protocol{
		Name:    "vws",
		Listen:  ":8080",
		Path:    "/ws",
		Options: func() any { return &Options{AllowSend: false, MaxEventSize: maxMessage, DrainClose: DrainGoodbye} },
		Validate: func(options any) error {
			o, err := optionsOf(options)
			if err != nil {
				return err
			}
			return o.validate()
		},
		New: func(options any, max int) (core.Format, error) {
			o, err := optionsOf(options)
			if err != nil {
				return nil, err
			}
			if err := o.validate(); err != nil {
				return nil, err
			}
			if max <= 0 {
				max = maxMessage
			}
			return newFormat(*o, max), nil
		},
	}
}

func optionsOf(options any) (*Options, error) {
	o, ok := options.(*Options)
	if !ok {
		return nil, fmt.Errorf("vws options are of type %T", options)
	}
	return o, nil
}

// validate returns all faults at once.
func (o *Options) validate() error {
	var faults []error
	if _, err := parsePolicy(o.AllowSend); err != nil {
		faults = append(faults, err)
	}
	for _, pattern := range o.InitialSubscriptions {
		switch {
		case pattern == "":
			faults = append(faults, errors.New("initial_subscriptions: a pattern must not be empty"))
		case matchesNothing(pattern):
			faults = append(faults, fmt.Errorf("initial_subscriptions: %q matches nothing, # must be in the last level", pattern))
		}
	}
	if o.MaxEventSize < 0 {
		faults = append(faults, fmt.Errorf("max_event_size: must be 0 for no bound, or more, not %d", o.MaxEventSize))
	}
	if o.DrainClose != "" && o.DrainClose != DrainGoodbye && o.DrainClose != DrainHard {
		faults = append(faults, fmt.Errorf("drain_close: must be %s or %s, not %q", DrainGoodbye, DrainHard, o.DrainClose))
	}
	return errors.Join(faults...)
}

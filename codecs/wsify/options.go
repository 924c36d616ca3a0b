package wsify

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/polywire/polywire/core"
)

// MaxMessage is the original's biggest client message in bytes: 32 MiB.
const MaxMessage = 32 << 20

// Options are what an endpoint of this format can set. The authorizer is not
// part of the format: whoever builds the endpoint makes it from AuthorizerURL
// and AuthorizerTimeout.
type Options struct {
	// BroadcastingKey is the key that HTTP publishers show. Empty: they show
	// none, and everybody may publish.
	BroadcastingKey string `koanf:"broadcasting_key"`
	// BroadcastPath is the path of the HTTP door. Empty: there is none.
	BroadcastPath string `koanf:"broadcast_path"`
	// AuthorizerURL is where every connection and message is judged. Empty: all
	// is allowed.
	AuthorizerURL string `koanf:"authorizer_url"`
	// AuthorizerTimeout bounds the wait for one answer of the authorizer. The original waits
	// for ever.
	AuthorizerTimeout time.Duration `koanf:"authorizer_timeout"`
}

// Protocol introduces the format. Its New takes the bound on HTTP bodies from
// max, or MaxMessage if max is not positive.
func Protocol() core.Protocol {
	return core.Protocol{
		Name:   "wsify",
		Listen: ":3000",
		Path:   "/ws",
		Options: func() any {
			return &Options{BroadcastPath: "/broadcast", AuthorizerTimeout: 10 * time.Second}
		},
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
			if max <= 0 {
				max = MaxMessage
			}
			return &Format{options: *o, maxBody: int64(max)}, nil
		},
	}
}

func optionsOf(options any) (*Options, error) {
	o, ok := options.(*Options)
	if !ok {
		return nil, fmt.Errorf("wsify options are of type %T", options)
	}
	return o, nil
}

// Needs returns the authorizer, and the path of the HTTP door.
func (o *Options) Needs() core.Needs {
	return core.Needs{AuthorizerURL: o.AuthorizerURL, AuthorizerTimeout: o.AuthorizerTimeout, HTTPPath: o.BroadcastPath}
}

// validate returns all faults at once.
func (o *Options) validate() error {
	var faults []error
	if o.AuthorizerURL != "" {
		if u, err := url.Parse(o.AuthorizerURL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			faults = append(faults, errors.New("authorizer_url: must be an absolute http or https URL"))
		}
	}
	if o.AuthorizerTimeout <= 0 {
		faults = append(faults, errors.New("authorizer_timeout: must be more than 0"))
	}
	if o.BroadcastPath != "" && !strings.HasPrefix(o.BroadcastPath, "/") {
		faults = append(faults, errors.New("broadcast_path: must begin with a slash"))
	} else if strings.ContainsAny(o.BroadcastPath, "?#%* ") {
		faults = append(faults, errors.New("broadcast_path: has a character that has no place in a path: ?, #, %, * or a space"))
	}
	return errors.Join(faults...)
}

package plugin

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/plugin/codecpb"
)

// Inquiry asks plugins to describe themselves before they run to translate. It is used by
// one goroutine.
type Inquiry struct {
	log  *slog.Logger
	ends []func()
}

// NewInquiry returns an Inquiry, which must be closed. The plugins' output goes to log.
func NewInquiry(log *slog.Logger) *Inquiry { return &Inquiry{log: log} }

// Close ends the plugins. The formats that they have described stay usable.
func (i *Inquiry) Close() {
	for _, end := range i.ends {
		end()
	}
	i.ends = nil
}

// Protocol starts the plugin of an endpoint and returns the protocol that it speaks,
// which is usable until Close. Its options are a *map[string]any.
func (i *Inquiry) Protocol(endpoint string, o Options) (core.Protocol, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return core.Protocol{}, err
	}
	p, end, err := startApart(o, i.log.With("endpoint", endpoint))
	if err != nil {
		return core.Protocol{}, err
	}
	i.ends = append(i.ends, end)
	c := &candidate{endpoint: endpoint, options: o, process: p}
	d, _, err := c.describe(nil, 0)
	if err != nil {
		return core.Protocol{}, err
	}
	return core.Protocol{
		Name: d.GetFormat(), Listen: d.GetListen(), Path: d.GetPath(),
		Options:  func() any { return new(map[string]any) },
		Validate: func(options any) error { return c.validate(*options.(*map[string]any)) },
		New: func(options any, max int) (core.Format, error) {
			return c.format(*options.(*map[string]any), max)
		},
	}, nil
}

// startApart starts a plugin on a thread of its own, which lasts until end.
func startApart(o Options, log *slog.Logger) (p *process, end func(), err error) {
	started, ended := make(chan error), make(chan struct{})
	finish := make(chan struct{})
	go func() {
		_ = onThread(func() error {
			var err error
			p, err = start(o, log)
			started <- err
			if err == nil {
				<-finish
				p.end()
			}
			return nil
		})
		close(ended)
	}()
	if err := <-started; err != nil {
		return nil, nil, err
	}
	return p, func() { close(finish); <-ended }, nil
}

// candidate is a plugin that is asked to describe itself.
type candidate struct {
	endpoint string
	options  Options
	process  *process
}

func (c *candidate) describe(options map[string]any, max int) (*codecpb.Description, *codecpb.DescribeRequest, error) {
	r := &codecpb.DescribeRequest{Endpoint: c.endpoint, Options: []byte("{}"), MaxMessage: uint64(max)}
	if len(options) > 0 {
		object, err := json.Marshal(options)
		if err != nil {
			return nil, nil, fmt.Errorf("writing the options as JSON: %w", err)
		}
		r.Options = object
	}
	d, err := c.process.describe(c.options, r)
	return d, r, err
}

func (c *candidate) validate(options map[string]any) error {
	d, _, err := c.describe(options, 0)
	if err != nil {
		return err
	}
	return problemsOf(d)
}

func (c *candidate) format(options map[string]any, max int) (core.Format, error) {
	d, r, err := c.describe(options, max)
	if err != nil {
		return nil, err
	}
	if err := problemsOf(d); err != nil {
		return nil, err
	}
	f := &Format{
		options: c.options, request: r, stateful: d.GetStateful(),
		profile: profileOf(d.GetProfile()), goodbyes: goodbyesOf(d), needs: needsOf(d.GetNeeds()),
	}
	side := d.GetClient()
	speaks := speakers{format: f, namesTopics: side.GetNamesTopics(), hearsItself: side.GetHearsItself(), next: new(atomic.Uint64)}
	switch {
	case d.GetHttp() && side != nil:
		return &HTTPClientFormat{&HTTPFormat{f}, speaks}, nil
	case d.GetHttp():
		return &HTTPFormat{f}, nil
	case side != nil:
		return &ClientFormat{f, speaks}, nil
	}
	return f, nil
}

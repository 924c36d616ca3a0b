package sdk

import (
	"context"
	"errors"
	"math"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/plugin/codecpb"
	"github.com/polywire/polywire/plugin/contract"
)

// Describe makes the format of the endpoint and describes it, or the faults of its options.
func (s *service) Describe(_ context.Context, r *codecpb.DescribeRequest) (*codecpb.Description, error) {
	p := s.protocol
	d := &codecpb.Description{Contract: contract.Version, Format: p.Name, Listen: p.Listen, Path: p.Path}
	if r.GetContract() != contract.Version {
		return d, nil // the host says what is wrong
	}
	options, err := optionsOf(p, r.GetOptions())
	if err == nil && p.Validate != nil {
		err = p.Validate(options)
	}
	if err != nil {
		d.Problems = problemsOf(err)
		return d, nil
	}
	format, err := p.New(options, int(min(r.GetMaxMessage(), math.MaxInt)))
	if err != nil {
		d.Problems = problemsOf(err)
		return d, nil
	}
	if format == nil {
		return nil, status.Error(codes.Internal, "the protocol made no format")
	}
	s.mu.Lock()
	s.format = format
	s.mu.Unlock()
	describe(d, format, options)
	return d, nil
}

// describe fills in what is known of the format.
func describe(d *codecpb.Description, f core.Format, options any) {
	d.Stateful = !stateless(f)
	_, d.Http = f.(httpFormat)
	if c, ok := f.(core.ClientFormat); ok {
		d.Client = &codecpb.ClientSide{NamesTopics: c.NamesTopics(), HearsItself: c.HearsItself()}
	}
	p := f.Profile()
	d.Profile = &codecpb.Profile{
		MaxMessage: uint64(p.MaxMessage), PingInterval: ms(p.PingInterval), PongTimeout: ms(p.PongTimeout),
		IdleTimeout: ms(p.IdleTimeout), IdleCheck: ms(p.IdleCheck), PingsCount: p.PingsCount,
		CloseReply: uint32(p.CloseReply), Subprotocol: p.Subprotocol, Deflate: p.Deflate, SameOrigin: p.SameOrigin,
		Cors: p.CORS, PlainStatus: uint32(p.PlainStatus), Subprotocols: p.Subprotocols,
		Http11: p.HTTP11, OptionsStatus: uint32(p.OptionsStatus),
	}
	for r := range core.NumReasons {
		code, text := f.Goodbye(r)
		d.Goodbyes = append(d.Goodbyes, &codecpb.Goodbye{Reason: r.String(), Code: uint32(code), Text: text})
	}
	if o, ok := options.(interface{ Needs() core.Needs }); ok {
		n := o.Needs()
		d.Needs = &codecpb.Needs{
			AuthorizerUrl: n.AuthorizerURL, AuthorizerTimeout: ms(n.AuthorizerTimeout),
			Sessions: n.Sessions, SessionsDir: n.SessionsDir, SessionsMaxConnections: uint32(n.MaxSessionConnections),
			HttpPath: n.HTTPPath, CallsAtOnce: uint32(n.CallsAtOnce),
		}
	}
}

func ms(d time.Duration) uint64 { return uint64(max(d, 0) / time.Millisecond) }

// problemsOf returns the errors that err joins. Those of options name the option in
// front, as in "key: text".
func problemsOf(err error) []*codecpb.Problem {
	errs := []error{err}
	if joined, ok := errors.AsType[interface {
		error
		Unwrap() []error
	}](err); ok {
		errs = joined.Unwrap()
	}
	var problems []*codecpb.Problem
	for _, err := range errs {
		p := &codecpb.Problem{Text: err.Error()}
		if key, text, named := strings.Cut(p.Text, ": "); named && !strings.ContainsAny(key, " \t") {
			p.Option, p.Text = key, text
		}
		problems = append(problems, p)
	}
	return problems
}

package main

import (
	"context"
	"io"
	"net/url"
	"strconv"

	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/record"
)

// tapped records what an endpoint of the running broker sees.
func (r *recording) tapped(ctx context.Context) (from source, err error) {
	address, protocol, format, err := r.target.endpoint(r.endpoint)
	if err != nil {
		return from, err
	}
	stream, err := r.askTap(ctx)
	if err != nil {
		return from, err
	}
	o := record.Options{Server: "the endpoint " + r.endpoint, Endpoint: protocol, Path: client.Path(address)}
	o.Dissector, _ = format.(core.Dissector)
	next := record.Events(stream, tapLine(r.maxMessage))
	return source{
		options: o, about: "at the endpoint " + r.endpoint + " of the running broker",
		record: func(ctx context.Context, o record.Options) (record.Summary, error) { return record.Tap(ctx, o, next) },
		close:  func() { _ = stream.Close() },
	}, nil
}

// askTap asks the running broker for a tap, which ends with ctx.
func (r *recording) askTap(ctx context.Context) (stream io.ReadCloser, err error) {
	cfg, err := r.target.load(io.Discard) // endpoint has read it before
	if err != nil {
		return nil, err
	}
	// The flags that say how to reach a server say it of the admin server here.
	c := &credentials{ca: r.target.ca, cert: r.target.cert, key: r.target.key, tokenFile: r.tokenFile}
	o, err := newOperator(cfg, c, "set admin.listen, or record with --listen and --to")
	if err != nil {
		return nil, err
	}
	// It finds credentials by what they are, and leaves them out itself.
	return o.tap(ctx, url.Values{"endpoint": {r.endpoint}, "max_message": {strconv.Itoa(r.maxMessage)}, "show": {"credentials"}})
}

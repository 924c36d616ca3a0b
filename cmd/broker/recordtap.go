package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/record"
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
	// Each byte of a message may be escaped, and requests have a head besides.
	next := record.Events(stream, 6*r.maxMessage+1<<20)
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
	o, err := newOperator(cfg, "set admin.listen, or record with --listen and --to")
	if err != nil {
		return nil, err
	}
	response, err := o.send(ctx, http.MethodGet, "/v1/tap", url.Values{"endpoint": {r.endpoint}, "max_message": {strconv.Itoa(r.maxMessage)}})
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusOK {
		return response.Body, nil
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	if err != nil {
		return nil, fmt.Errorf("reading the broker's answer: %w", err)
	}
	if response.StatusCode == http.StatusNotFound && strings.TrimSpace(string(text)) == "404 page not found" {
		return nil, errors.New("the running broker has no taps: it is older than this program; record with --listen and --to")
	}
	return nil, refusedBy(response.StatusCode, text)
}

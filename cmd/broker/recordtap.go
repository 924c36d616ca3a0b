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
	if cfg.Admin.Listen == "" {
		return nil, errors.New("the configuration has no admin address, at which a running broker is asked: set admin.listen, or record with --listen and --to")
	}
	query := url.Values{"endpoint": {r.endpoint}, "max_message": {strconv.Itoa(r.maxMessage)}}
	response, err := askAdmin(ctx, cfg, http.MethodGet, "/v1/tap?"+query.Encode())
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
	why := strings.TrimSpace(string(text))
	if response.StatusCode == http.StatusNotFound && why == "404 page not found" {
		why = "the running broker has no taps: it is older than this program; record with --listen and --to"
	}
	return nil, fmt.Errorf("asking the broker: %s: %s", response.Status, why)
}

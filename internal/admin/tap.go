package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
)

// Tap reports what an endpoint sees.
type Tap interface {
	// Next waits for events and returns them in order; it reuses the memory of into. The error is that of
	// ctx, or says that no event follows. One goroutine.
	Next(ctx context.Context, into []core.TapEvent) ([]core.TapEvent, error)
	// Close ends the tap.
	Close()
}

const (
	// tapMessage is how long a message may be that a tap shows, in bytes, if the request does not say it.
	tapMessage = 1 << 20
	// tapChunk is how much of a tap is written at a time, in bytes.
	tapChunk = 64 << 10
	// tapPatience is how long the reader of a tap may take to read such a piece.
	tapPatience = time.Minute
)

// tapper serves GET /v1/tap?endpoint=NAME: what the endpoint sees, as server-sent events, each with a
// core.TapEvent in JSON; the last one is a core.TapOver. With max_message=BYTES longer messages are shown
// only by their size. An unknown endpoint is answered 404, and a tap that is not allowed now 409.
type tapper struct {
	source *Source
	ending context.Context // ends with the server
	api    api
}

func (h tapper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	who, no := h.api.guard.admitTap(r)
	if no != nil {
		h.api.turnAway(w, no)
		return
	}
	endpoint, max, err := tapQuery(r)
	switch {
	case r.Method != http.MethodGet: // HEAD is routed here too
		w.Header().Set("Allow", http.MethodGet)
		h.api.refuse(w, &apiError{http.StatusMethodNotAllowed, "invalid", "a tap is asked for with GET"})
		return
	case err != nil:
		h.api.refuse(w, invalid("%v; endpoints: %s", err, strings.Join(h.source.endpoints(), ", ")))
		return
	case h.source.Tap == nil:
		h.api.refuse(w, &apiError{http.StatusNotImplemented, "unavailable", "the endpoints cannot be tapped"})
		return
	}
	tap, err := h.source.Tap(endpoint, max)
	switch {
	case errors.Is(err, core.ErrNoEndpoint):
		h.api.refuse(w, &apiError{http.StatusNotFound, "not_found", fmt.Sprintf("there is no endpoint %.100q; endpoints: %s", endpoint, strings.Join(h.source.endpoints(), ", "))})
		return
	case err != nil:
		h.api.refuse(w, &apiError{http.StatusConflict, "conflict", err.Error()})
		return
	}
	defer tap.Close()
	if !who.expires.IsZero() {
		ctx, end := context.WithDeadlineCause(r.Context(), who.expires, errTapExpired)
		defer end()
		r = r.WithContext(ctx)
	}
	// Whoever looks later must see that somebody has read along.
	about := []any{logging.Bounded(endpoint, "tap"), slog.String("remote", r.RemoteAddr), logging.Quoted("who", who.name())}
	h.api.log.Info("an endpoint is tapped: what its clients send is shown, with their credentials", about...)
	err = h.stream(w, r, tap)
	h.api.log.Info("a tap has ended", append(about, slog.Any("why", err))...)
}

// tapQuery parses the query of a request.
func tapQuery(r *http.Request) (endpoint string, max int, err error) {
	max = tapMessage
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return "", 0, errors.New("the query cannot be read")
	}
	for name, values := range query {
		switch {
		case name != "endpoint" && name != "max_message":
			return "", 0, fmt.Errorf("%.50q is no parameter of /v1/tap; there are endpoint=NAME and max_message=BYTES", name)
		case len(values) > 1:
			return "", 0, fmt.Errorf("%s is given more than once", name)
		case name == "endpoint":
			endpoint = values[0]
		default:
			if max, err = strconv.Atoi(values[0]); err != nil || max < 0 {
				return "", 0, fmt.Errorf("max_message must be a number of bytes, not %.50q", values[0])
			}
		}
	}
	if endpoint == "" {
		return "", 0, errors.New("endpoint=NAME is missing")
	}
	return endpoint, max, nil
}

// The reasons for which a tap ends before its endpoint.
var (
	errTapClient = errors.New("its reader has gone, or reads nothing")
	errTapServer = errors.New("the admin server ends")
	// errTapExpired ends a tap for those who would have to show their credential again.
	errTapExpired = errors.New("the credential of its reader has expired")
)

// stream writes the events of a tap, and returns why it has ended.
func (h tapper) stream(w http.ResponseWriter, r *http.Request, tap Tap) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(h.ending, cancel)()
	to := tapWriter{w: w, conn: http.NewResponseController(w)}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)
	if to.flush() != nil {
		return errTapClient
	}
	var events []core.TapEvent
	for {
		var err error
		if events, err = tap.Next(ctx, events); err != nil {
			break
		}
		for i := range events {
			if to.write(&events[i]) != nil {
				return errTapClient
			}
			if events[i].Kind == core.TapOver {
				_ = to.flush() // if this fails the client has gone, and there is nobody to tell
				return errors.New(string(events[i].Data))
			}
		}
		if to.flush() != nil {
			return errTapClient
		}
	}
	over := errTapServer
	switch {
	case errors.Is(context.Cause(r.Context()), errTapExpired):
		over = errTapExpired
	case h.ending.Err() == nil:
		return errTapClient
	}
	why := over.Error()
	_ = to.write(&core.TapEvent{Time: time.Now(), Kind: core.TapOver, FromServer: true, Data: []byte(why), Size: len(why)})
	_ = to.flush()
	return over
}

// tapWriter writes events to the reader of a tap.
type tapWriter struct {
	w    http.ResponseWriter
	conn *http.ResponseController
	buf  bytes.Buffer
}

// write adds an event.
func (t *tapWriter) write(ev *core.TapEvent) error {
	line, err := ev.MarshalJSON()
	if err != nil {
		return err
	}
	t.buf.WriteString("data: ")
	t.buf.Write(line)
	t.buf.WriteString("\n\n")
	if t.buf.Len() < tapChunk {
		return nil
	}
	return t.flush()
}

// flush sends what was added.
func (t *tapWriter) flush() error {
	if err := t.conn.SetWriteDeadline(time.Now().Add(tapPatience)); err != nil {
		return fmt.Errorf("writing to the reader of a tap: %w", err)
	}
	_, err := t.w.Write(t.buf.Bytes())
	if t.buf.Reset(); t.buf.Cap() > 4*tapChunk {
		t.buf = bytes.Buffer{} // it was a long message
	}
	return errors.Join(err, t.conn.Flush())
}

package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/logging"
)

// Tap reports what an endpoint, a connection or the topics of a pattern see.
type Tap interface {
	// Next waits for events and returns them in order; it reuses the memory of into. The error is that of
	// ctx, or says that no event follows. One goroutine.
	Next(ctx context.Context, into []core.TapEvent) ([]core.TapEvent, error)
	// Close ends the tap.
	Close()
}

// Tapped is what a tap is on: exactly one of its fields is set.
type Tapped struct {
	// Endpoint is the name of an endpoint.
	Endpoint string
	// Connection is the number of a connection.
	Connection uint64
	// Topic is a whole topic, or a pattern of them.
	Topic string
}

// String names it for logs and errors.
func (t Tapped) String() string {
	switch {
	case t.Endpoint != "":
		return "endpoint " + t.Endpoint
	case t.Connection != 0:
		return "connection " + strconv.FormatUint(t.Connection, 10)
	}
	return "topic " + t.Topic
}

const (
	// tapMessage is how long a message may be that a tap shows, in bytes, if the request does not say it.
	tapMessage = 1 << 20
	// tapChunk is how much of a tap is written at a time, in bytes.
	tapChunk = 64 << 10
	// tapPatience is how long the reader of a tap may take to read such a piece.
	tapPatience = time.Minute
)

// tapper serves GET /v1/tap: what an endpoint, a connection or topics see, as server-sent events, each with a
// core.TapEvent in JSON; the last one is a core.TapOver. What is unknown is answered 404, and a tap that is not
// allowed now 409.
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
	q, err := newTapQuery(r)
	switch {
	case r.Method != http.MethodGet: // HEAD is routed here too
		w.Header().Set("Allow", http.MethodGet)
		h.api.refuse(w, &apiError{http.StatusMethodNotAllowed, "invalid", "a tap is asked for with GET"})
		return
	case err != nil:
		h.api.refuse(w, invalid("%v; endpoints: %s", err, strings.Join(h.source.endpoints(), ", ")))
		return
	case h.source.Tap == nil:
		h.api.refuse(w, &apiError{http.StatusNotImplemented, "unavailable", "nothing can be tapped"})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), apiTimeout)
	tap, err := h.source.Tap(ctx, q.on, q.options)
	cancel()
	switch {
	case errors.Is(err, core.ErrNoEndpoint):
		h.api.refuse(w, &apiError{http.StatusNotFound, "not_found", fmt.Sprintf("there is no endpoint %.100q; endpoints: %s", q.on.Endpoint, strings.Join(h.source.endpoints(), ", "))})
		return
	case errors.Is(err, core.ErrNoConnection):
		h.api.refuse(w, &apiError{http.StatusNotFound, "not_found", fmt.Sprintf("there is no connection %d; it may have ended", q.on.Connection)})
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
	about := []any{logging.Bounded(q.on.Endpoint, "tap"), slog.String("of", fmt.Sprintf("%.200s", q.on)), slog.Bool("credentials", q.credentials), slog.String("remote", r.RemoteAddr), logging.Quoted("who", who.name())}
	h.api.log.Info("a tap has begun: what clients say is shown", about...)
	err = h.stream(w, r, tap, view{newRedactor(h.source.Redact.with(q.redact), q.credentials), q.maxBytes})
	h.api.log.Info("a tap has ended", append(about, slog.Any("why", err))...)
}

// view is how the events of a tap are shown.
type view struct {
	redactor *redactor
	maxBytes int // of the data of an event; the rest is cut
}

// show prepares an event.
func (v view) show(ev *core.TapEvent) {
	v.redactor.apply(ev)
	if v.maxBytes < 0 || len(ev.Data) <= v.maxBytes || ev.Kind == core.TapOver {
		return
	}
	cut := v.maxBytes
	if utf8.Valid(ev.Data) {
		for cut > 0 && !utf8.RuneStart(ev.Data[cut]) {
			cut--
		}
	}
	ev.Data = ev.Data[:cut:cut]
}

// The reasons for which a tap ends before what it is on.
var (
	errTapClient = errors.New("its reader has gone, or reads nothing")
	errTapServer = errors.New("the admin server ends")
	// errTapExpired ends a tap for those who would have to show their credential again.
	errTapExpired = errors.New("the credential of its reader has expired")
)

// stream writes the events of a tap, and returns why it has ended.
func (h tapper) stream(w http.ResponseWriter, r *http.Request, tap Tap, v view) error {
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
			v.show(&events[i])
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

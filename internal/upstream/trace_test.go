package upstream

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
)

const traceID = "4bf92f3577b34da6a3ce929d0e0e4736"

func TestTrace(t *testing.T) {
	within := core.ParseTrace("00-"+traceID+"-00f067aa0ba902b7-00", "a=1,b=2")
	var got []core.Trace
	u := newUpstream(t, func(_ http.ResponseWriter, r *http.Request) {
		got = append(got, core.ParseTrace(r.Header.Get("traceparent"), r.Header.Get("tracestate")))
	}, nil)
	for _, trace := range []core.Trace{within, within, {}, {}} {
		if _, err := u.Call(t.Context(), core.Invocation{Trace: trace}); err != nil {
			t.Fatal(err)
		}
	}
	for i, trace := range got[:2] {
		if trace.ID != within.ID || trace.State != within.State || trace.Flags != 0 || trace.Span == within.Span {
			t.Errorf("call %d within the trace: %+v", i, trace)
		}
	}
	if got[0].Span == got[1].Span {
		t.Error("two calls have the same span")
	}
	none := core.Trace{}
	if got[2] == none || got[3] == none || got[2].ID == got[3].ID || got[2].Flags != 1 || got[2].State != "" {
		t.Errorf("calls without a trace: %+v and %+v", got[2], got[3])
	}
}

// What the client is not told is in the log, once, with the trace.
func TestFailuresAreLogged(t *testing.T) {
	var log bytes.Buffer
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get("Polywire-Service"), "own") {
			w.Header().Set("Polywire-Error-Code", "NO")
		}
		w.WriteHeader(http.StatusTeapot)
	}, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	trace := core.ParseTrace("00-"+traceID+"-00f067aa0ba902b7-01", "")
	_, _ = u.Call(t.Context(), core.Invocation{Service: "own", Trace: trace})
	if log.Len() > 0 {
		t.Errorf("the server's own failure is logged: %s", &log)
	}
	_, _ = u.Call(t.Context(), core.Invocation{Service: "s", Endpoint: "e", Connection: 7, Trace: trace})
	for _, part := range []string{"level=WARN", "called=s", "endpoint=e", "conn=7", "trace=" + traceID, "418"} {
		if strings.Count(log.String(), part) != 1 {
			t.Errorf("the log does not have %q once: %s", part, &log)
		}
	}
}

package engine

import (
	"bytes"
	"context"
	"log/slog"
	"runtime"
	"strings"
	"testing"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/sessions"
)

// The two ways in which somebody else's code does not return.
var waysOut = map[string]func(){
	"panic":  func() { panic("asked for") },
	"Goexit": runtime.Goexit,
}

// A handler that does not return fails its call, gives its place back, and the connection,
// which may have no more calls at once, goes on; so do interceptors, and handlers that hear.
func TestHandlerDoesNotReturn(t *testing.T) {
	for name, leave := range waysOut {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1)
			w.engine.Handle("leaves", func(context.Context, core.Invocation) (core.Payload, error) {
				leave()
				return text("back"), nil
			})
			w.engine.Handle("good", func(context.Context, core.Invocation) (core.Payload, error) { return text("good"), nil })
			w.engine.Hear("leaves", func(context.Context, core.Invocation) (core.Payload, error) {
				leave()
				return text("back"), nil
			})
			w.engine.Use(func(next core.Handler) core.Handler {
				return func(ctx context.Context, c core.Invocation) (core.Payload, error) {
					if c.Service == "middle" {
						leave()
					}
					return next(ctx, c)
				}
			})
			w.engine.Handle("middle", func(context.Context, core.Invocation) (core.Payload, error) { return text("back"), nil })
			x := w.site(core.Endpoint{CallsAtOnce: 1}).connect(0)
			for range maxRunning + 1 {
				wants(t, "it fails", x.outcome("leaves"), "done call leaves@7 #r; failed call leaves@7 #r internal")
			}
			wants(t, "an interceptor", x.outcome("middle"), "done call middle@7 #r; failed call middle@7 #r internal")
			x.message(pub("leaves", "1"))
			x.settled()
			wants(t, "the connection goes on", x.outcome("good"), "done call good@7 #r; answer good@7 #r =good")
			w.engine.drainHandlers()
			x.gone(false)
			wantEmpty(t, w.engine)
		})
	}
}

// A hook that does not return is as one that has.
func TestHooksDoNotReturn(t *testing.T) {
	for name, leave := range waysOut {
		t.Run(name, func(t *testing.T) {
			w := hooked(t, 1, core.Hooks{
				Connected:       func(context.Context, core.Client) { leave() },
				Disconnected:    func(core.Client, core.Reason) { leave() },
				SessionCreated:  func(context.Context, core.Client, core.Session) { leave() },
				SessionRestored: func(context.Context, core.Client, core.Session) { leave() },
				SessionClosed:   func(context.Context, string) { leave() },
			})
			keys := signing(w)
			s := w.site(core.Endpoint{Sessions: sessions.NewMemory()})
			for range maxHooks + 1 {
				x := s.connect(0)
				x.settled()
				x.gone(false)
			}
			x := s.connect(0)
			wants(t, "connected", x.do(sub("a"))+x.settled(), "done subscribe a")
			x.elsewhere(restore(x.open()))
			wants(t, "closed", x.elsewhere(closeSession), "done close_session #c")
			wants(t, "in", x.outcome("in"), "done call in@7 #r; session_opened open_session; answer in@7 #r =nil")
			wants(t, "out", x.outcome("out"), "done call out@7 #r; session_closed; answer out@7 #r =nil")
			if err := w.engine.CloseSession(t.Context(), <-keys); errCode(err) != string(core.SessionUnknown) {
				t.Errorf("CloseSession: %v", err)
			}
			x.gone(false)
			if err := w.engine.AwaitHooks(t.Context()); err != nil {
				t.Error(err)
			}
			if n := w.engine.Panics(); n != 2*(maxHooks+1)+7 || len(x.closed) > 0 {
				t.Errorf("counted %d, want %d; closed with %v", n, 2*(maxHooks+1)+7, x.closed)
			}
			wantEmpty(t, w.engine)
		})
	}
}

// leaver is an authorizer and a session store that does not return from what stage names.
type leaver struct {
	core.SessionStore
	stage string
	leave func()
}

func (l *leaver) at(stage string) {
	if l.stage == stage {
		l.leave()
	}
}

func (l *leaver) AuthorizeConnect(context.Context, core.Handshake) core.Verdict { return core.Allow }

func (l *leaver) AuthorizeCommand(context.Context, *core.Identity, core.Command) core.Verdict {
	l.at("authorize")
	return core.Allow
}

func (l *leaver) Create(ctx context.Context, key string, info []byte) (core.Session, error) {
	l.at("create")
	return l.SessionStore.Create(ctx, key, info)
}

func (l *leaver) Lookup(ctx context.Context, key []byte) (core.Session, error) {
	l.at("lookup")
	return l.SessionStore.Lookup(ctx, key)
}

func (l *leaver) Delete(ctx context.Context, key string) error {
	l.at("delete")
	return l.SessionStore.Delete(ctx, key)
}

// An authorizer or a session store that does not return ends the connection that asked it,
// and nothing else: another connection can ask on.
func TestStoreDoesNotReturn(t *testing.T) {
	commands := map[string]core.Command{
		"authorize": sub("a"), "create": openSession, "lookup": restore("key"), "delete": closeSession,
	}
	for name, leave := range waysOut {
		for stage, c := range commands {
			t.Run(name+" in "+stage, func(t *testing.T) {
				w := newWorld(t, 1)
				store := sessions.NewMemory()
				if _, err := store.Create(t.Context(), "key", nil); err != nil {
					t.Fatal(err)
				}
				l := &leaver{SessionStore: store, leave: leave}
				s := w.site(core.Endpoint{Sessions: l, Authorizer: l})
				x := s.connect(0)
				if stage == "delete" {
					wants(t, "restore", x.elsewhere(restore("key")), "session_opened restore_session #r")
				}
				l.stage = stage
				x.message(c)
				for len(x.closed) == 0 {
					x.loop.await()
					w.pump()
				}
				if x.closed[0] != core.ReasonInternal {
					t.Errorf("closed with %v", x.closed)
				}
				x.gone(false)
				l.stage = ""
				y := s.connect(0)
				wants(t, "another", y.elsewhere(restore("key")), "session_opened restore_session #r")
				y.gone(false)
				wantEmpty(t, w.engine)
			})
		}
	}
}

// A handler whose session store does not return fails its call.
func TestStoreOfHandlerDoesNotReturn(t *testing.T) {
	for name, leave := range waysOut {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1)
			signing(w)
			l := &leaver{SessionStore: sessions.NewMemory(), leave: leave, stage: "create"}
			x := w.site(core.Endpoint{Sessions: l, CallsAtOnce: 1}).connect(0)
			wants(t, "in", x.outcome("in"), "done call in@7 #r; failed call in@7 #r internal")
			l.stage = ""
			wants(t, "in again", x.outcome("in"), "done call in@7 #r; session_opened open_session; answer in@7 #r =nil")
			l.stage = "delete"
			wants(t, "out", x.outcome("out"), "done call out@7 #r; session_closed; failed call out@7 #r internal")
			wants(t, "in again", x.outcome("in"), "done call in@7 #r; session_opened open_session; answer in@7 #r =nil")
			w.engine.drainHandlers()
			x.gone(false)
			wantEmpty(t, w.engine)
		})
	}
}

// A handler that does not return to the program fails its call, and the log says so once.
func TestHandlerDoesNotReturnToProgram(t *testing.T) {
	for name, leave := range waysOut {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			w := newWorld(t, 1)
			w.engine.log = slog.New(slog.NewTextHandler(&log, nil))
			w.engine.Handle("leaves", func(context.Context, core.Invocation) (core.Payload, error) {
				leave()
				return text("back"), nil
			})
			ep := &core.Endpoint{Name: "e", Stats: new(core.Stats)}
			for range maxRunning + 1 {
				if _, f := w.engine.Call(t.Context(), ep, b("leaves"), text("x")); f.Code != core.Internal {
					t.Fatalf("it fails with %v", f)
				}
			}
			w.engine.drainHandlers()
			if lines := strings.Count(log.String(), "\n"); lines != maxRunning+1 {
				t.Errorf("%d lines for %d calls:\n%.500s", lines, maxRunning+1, log.String())
			}
		})
	}
}

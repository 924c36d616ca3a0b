package engine

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
)

// What the log says of clients is as much as it is to say.
func TestAccessLog(t *testing.T) {
	for mode, want := range map[AccessLog][]string{
		AccessOff: nil,
		AccessRefusals: {
			`"message refused" endpoint=e reason=reserved conn=1 remote=192.0.2.1:9 user="" verb=publish topic=$serve/x why="the address belongs to the broker"`,
			`"message refused" endpoint=e reason=no_service conn=1 remote=192.0.2.1:9 user="" verb=call topic=nobody why="nobody answers the service"`,
			`"message refused" endpoint=e reason=unknown_type conn=1 remote=192.0.2.1:9 user="" why="no such command"`,
			`"message refused" endpoint=e reason=no_service conn=1 remote=192.0.2.1:9 user="" verb=call topic=nobody why="nobody answers the service"`,
			`"client left" endpoint=e reason=malformed conn=2 remote=192.0.2.1:9 user=""`,
		},
		AccessAll: {
			`"client connected" endpoint=e conn=1 remote=192.0.2.1:9 user="" protocol=p`,
			`"client subscribed" endpoint=e conn=1 remote=192.0.2.1:9 user="" topic=a`,
			`"message refused" endpoint=e conn=1 remote=192.0.2.1:9 user="" verb=publish topic=$serve/x why="the address belongs to the broker" reason=reserved`,
			`"message refused" endpoint=e conn=1 remote=192.0.2.1:9 user="" verb=call topic=nobody why="nobody answers the service" reason=no_service`,
			`"message refused" endpoint=e conn=1 remote=192.0.2.1:9 user="" why="no such command" reason=unknown_type`,
			`"message refused" endpoint=e conn=1 remote=192.0.2.1:9 user="" verb=call topic=nobody why="nobody answers the service" reason=no_service`,
			`"client unsubscribed" endpoint=e conn=1 remote=192.0.2.1:9 user="" topic=a`,
			`"client left" endpoint=e conn=1 remote=192.0.2.1:9 user="" reason=normal`,
			`"client connected" endpoint=e conn=2 remote=192.0.2.1:9 user="" protocol=p`,
			`"client left" endpoint=e conn=2 remote=192.0.2.1:9 user="" reason=malformed`,
		},
	} {
		var log bytes.Buffer
		w := newWorld(t, 1)
		w.engine.access.log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
				return slog.Attr{}
			}
			return a
		}}))
		w.engine.LogAccess(mode)
		s := w.site(core.Endpoint{Name: "e", Protocol: "p"})
		x := s.connect(0)
		x.do(sub("a"), sub("a"), pub("$serve/x", "1"), pub("a", "1"))
		x.do(core.Command{Verb: core.Call, Topic: b("nobody"), Ref: b("r")})
		x.peer.Refused(core.ReasonUnknownType, core.Failure{Code: core.Invalid, Text: "no such command"})
		if mode == AccessRefusals {
			x.do(pub("$call/1/nobody", "1")) // too soon after the one before for the same reason
			w.pass(faultPause)
		}
		x.do(pub("$call/1/nobody", "1"))
		x.do(core.Command{Verb: core.Unsubscribe, Topic: b("a")})
		x.peer.Gone(core.ReasonNormal)
		s.connect(0).peer.Gone(core.ReasonMalformed)
		var got []string
		for line := range strings.Lines(log.String()) {
			got = append(got, strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "msg="))
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("mode %d:\n%s\nwant\n%s", mode, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// However many clients come and go at once, there are so many lines in a second, and the next one says what is missing.
func TestAccessLogBounds(t *testing.T) {
	var log bytes.Buffer
	w := newWorld(t, 1)
	w.engine.access.log = slog.New(slog.NewTextHandler(&log, nil))
	w.engine.LogAccess(AccessAll)
	s := w.site(core.Endpoint{Name: "e", Protocol: "p"})
	const clients = accessLines // each comes and leaves
	for range clients {
		s.connect(0).peer.Gone(core.ReasonNormal)
	}
	if got := strings.Count(log.String(), "\n"); got != accessLines {
		t.Errorf("%d lines in a second, want %d", got, accessLines)
	}
	if got := w.engine.LogLeftOut(); got != 2*clients-accessLines {
		t.Errorf("%d lines are left out, want %d", got, 2*clients-accessLines)
	}
	log.Reset()
	w.pass(time.Second)
	s.connect(0)
	s.connect(0)
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "left_out=1000") || strings.Contains(lines[1], "left_out") {
		t.Errorf("a second later:\n%s", log.String())
	}
}

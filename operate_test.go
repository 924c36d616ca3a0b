package polywire_test

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/coretest"
)

const operated = `
endpoints: [{name: web, protocol: vws, listen: "127.0.0.1:0"}]
admin: {listen: "127.0.0.1:0"}
`

// An operator sees what a reload would change, and reloads; a broken configuration changes nothing.
func TestOperateReload(t *testing.T) {
	next := load(t, strings.Replace(operated, "}]", ", limits: {subscriptions: 5}}]", 1))
	broken := errors.New("it is broken")
	r := run(t, operated, polywire.WithSource(func() (*config.Config, error) { return next, broken }))
	var refused struct {
		Error struct{ Code, Message string }
	}
	for _, method := range []string{"GET", "POST"} {
		if status := r.v1(t, method, "reload", &refused); status != http.StatusUnprocessableEntity || !strings.Contains(refused.Error.Message, "it is broken") {
			t.Errorf("%s: %d %+v", method, status, refused)
		}
	}
	broken = nil
	for _, method := range []string{"GET", "POST", "GET"} {
		want := polywire.Live
		if r.Config() == next {
			want = polywire.Unchanged
		}
		var plan polywire.Plan
		if status := r.v1(t, method, "reload", &plan); status != http.StatusOK || plan.Endpoints[0].Outcome != want {
			t.Errorf("%s: %d %+v, want %s", method, status, plan, want)
		}
		if method == "POST" && r.Config() != next {
			t.Error("it has not reloaded")
		}
	}
}

// An operator changes the log level.
func TestOperateLog(t *testing.T) {
	r := run(t, operated, polywire.WithLogLevel(new(slog.LevelVar)))
	var log struct{ Level string }
	for _, level := range []string{"", "debug", "error", "warn", "info"} {
		if level != "" {
			if status := r.v1(t, "PUT", "log?level="+level, &log); status != http.StatusOK || log.Level != level {
				t.Errorf("%s: %d %+v", level, status, log)
			}
		}
		if r.v1(t, "GET", "log", &log); level != "" && log.Level != level {
			t.Errorf("it is %s, want %s", log.Level, level)
		}
	}
}

// An operator ends the broker: its clients hear the goodbye, and Run returns.
func TestOperateDrain(t *testing.T) {
	r := run(t, operated)
	one, _ := speaks(t, "vws", r.urls["web"].URL)
	do(t, one, core.Command{Verb: core.Subscribe, Topic: []byte("a")})
	var drained struct{ Connections int }
	if status := r.v1(t, "POST", "drain", &drained); status != http.StatusOK || drained.Connections != 1 {
		t.Errorf("%d %+v", status, drained)
	}
	coretest.Receive(t, "it drains", r.Draining())
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

// What cannot be done says why.
func TestOperateRefused(t *testing.T) {
	r := run(t, operated)
	for request, want := range map[string]int{
		"GET reload": http.StatusNotImplemented, "POST reload": http.StatusNotImplemented, "GET log": http.StatusNotImplemented,
		"PUT log?level=info": http.StatusNotImplemented, "PUT log?level=x": http.StatusBadRequest, "PUT log": http.StatusBadRequest, "POST drain?now=1": http.StatusBadRequest,
	} {
		var refused struct {
			Error struct{ Code, Message string }
		}
		method, path, _ := strings.Cut(request, " ")
		if status := r.v1(t, method, path, &refused); status != want || refused.Error.Message == "" {
			t.Errorf("%s: %d %+v", request, status, refused)
		}
	}
}

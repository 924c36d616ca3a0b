package main

import (
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/gobwas/ws"
)

// TestDrainDelay: on SIGTERM balancers are told at once, while clients are still admitted and
// served; a second signal ends that.
func TestDrainDelay(t *testing.T) {
	const text = `
endpoints:
  - {name: echo, protocol: echo, listen: "127.0.0.1:0"}
  - {name: web, protocol: wsify, listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
drain: {delay: DELAY}
`
	p := begin(t, nil, nil, "", "serve", "--log-format", "json", "-c", write(t, strings.Replace(text, "DELAY", "1h", 1)))
	urls := p.urls(t, 4)
	readyz := strings.TrimSuffix(urls["admin ht"], "/metrics") + "/readyz"
	ready := func() int {
		t.Helper()
		response, err := http.Get(readyz)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		_, _ = io.Copy(io.Discard, response.Body)
		return response.StatusCode
	}
	if ready() != http.StatusOK {
		t.Error("not ready at first")
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	await(t, "it is not ready", func() bool { return ready() == http.StatusServiceUnavailable })
	if err := converseOnce(ws.Dialer{}, urls["echo ws"])(t.Context()); err != nil {
		t.Error(err)
	}
	if err := post(http.MethodPost, urls["web ht"], http.StatusCreated)(t.Context()); err != nil {
		t.Error(err)
	}
	await(t, "it is logged", func() bool { return p.log.count(`"delay":"1h0m0s"`) == 1 })
	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	// One that comes before the first has had all its effects is ignored.
	await(t, "another signal ends it", func() bool {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		return len(ended) > 0
	})
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "signal: terminated") {
		t.Errorf("the second signal: %v", err)
	}
	short := begin(t, nil, nil, "", "serve", "-c", write(t, strings.Replace(text, "DELAY", "1ms", 1)))
	short.urls(t, 4)
	if err := short.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := short.cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// An operator ends the broker by its admin API, as a signal does.
func TestDrainByOperator(t *testing.T) {
	p := begin(t, nil, nil, "", "serve", "-c", write(t, "endpoints: [{name: web, protocol: wsify, listen: \"127.0.0.1:0\"}]\nadmin: {listen: \"127.0.0.1:0\"}\n"))
	if err := post(http.MethodPost, strings.TrimSuffix(p.urls(t, 3)["admin ht"], "/metrics")+"/v1/drain", http.StatusOK)(t.Context()); err != nil {
		t.Error(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
}

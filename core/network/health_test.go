package network

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A broker that is about to leave says so at its serving port, and still serves.
func TestHealthWhileLeaving(t *testing.T) {
	r := start(t, func(_ *Options, ep *Endpoint) { ep.Settings.Health = "/healthz" })
	probe := func(status string) {
		t.Helper()
		c := r.dialTCP("chat")
		c.write([]byte("GET /healthz HTTP/1.0\r\n\r\n"))
		c.readResponse("HTTP/1.0 " + status)
	}
	probe("200")
	r.Leave()
	probe("503")
	r.dial("chat")
	r.StopAdmitting()
	probe("503")
}

// Loops that turn are not still, and one that is blocked is, for as long as it is.
func TestStill(t *testing.T) {
	r := start(t, func(o *Options, _ *Endpoint) { o.Loops = 1 })
	if all := r.Still(); len(all) > 0 {
		t.Errorf("%v before there is a loop", all)
	}
	r.dial("chat")
	eventually(t, "it turns", func() bool { return r.Still()[0] < time.Second })
	entered, leave := make(chan struct{}), make(chan struct{})
	r.loopAt(0).post(mail{fn: func() {
		close(entered)
		<-leave
	}})
	<-entered
	eventually(t, "it stands still", func() bool { return r.Still()[0] > time.Second })
	close(leave)
	eventually(t, "it turns again", func() bool { return r.Still()[0] < time.Second })
}

// An endpoint whose socket was removed, or that cannot accept, is said to be out of reach.
func TestListeners(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	r := start(t, func(_ *Options, ep *Endpoint) { ep.Listen = "unix:" + socket })
	err := func() error {
		all := r.Listeners()
		if len(all) != 2 || all[0].Endpoint != "chat" || all[1].Err != nil {
			t.Fatalf("listeners %v", all)
		}
		return all[0].Err
	}
	if err() != nil {
		t.Error(err())
	}
	d := r.eps["chat"].door
	d.failed.Store(int64(time.Since(r.started)))
	if err() == nil {
		t.Error("a failed accept does not count")
	}
	d.failed.Store(int64(time.Since(r.started) - acceptTrouble))
	if err() != nil {
		t.Errorf("an accept that failed long ago: %v", err())
	}
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	if got := err(); !errors.Is(got, os.ErrNotExist) {
		t.Errorf("without a socket: %v", got)
	}
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err() == nil {
		t.Error("a file in its place does not count")
	}
	_ = d.stop()
	if got := err(); !errors.Is(got, errNoListener) {
		t.Errorf("stopped: %v", got)
	}
}

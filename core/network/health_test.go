package network

import "testing"

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

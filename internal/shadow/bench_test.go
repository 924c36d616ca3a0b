package shadow_test

import (
	"context"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/polywire/polywire/client"
	"github.com/polywire/polywire/internal/relay"
)

// roundTrips measures a vws event with its acknowledgement at address, and reports the median in µs.
func roundTrips(b *testing.B, address, path string) {
	b.Helper()
	p := (&comparison{address: address, path: path}).connect(b, ws.OpText)
	_ = p.conn.SetDeadline(time.Time{})
	trip := func() time.Duration {
		begin := time.Now()
		p.says(`{"t":"sensors/1","d":{"celsius":21.5,"at":"here"},"i":1}`)
		p.hears(`{"k":"a","i":1}`)
		return time.Since(begin)
	}
	trip()
	var times []time.Duration
	for b.Loop() {
		times = append(times, trip())
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2])/float64(time.Microsecond), "µs-median")
	b.ReportMetric(float64(times[len(times)*99/100])/float64(time.Microsecond), "µs-p99")
}

// hostOf returns the host and port of a URL.
func hostOf(address string) string {
	d := client.Path(address)
	return address[len("ws://") : len(address)-len(d)]
}

// Without anything in between.
func BenchmarkDirect(b *testing.B) {
	old := broker(b, all)["vws"]
	roundTrips(b, hostOf(old), client.Path(old))
}

// With a relay that nobody watches: a plain TCP proxy.
func BenchmarkRelay(b *testing.B) {
	old := broker(b, all)["vws"]
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- relay.New(relay.Options{
			Dial:  func(ctx context.Context) (net.Conn, error) { return client.Reach(ctx, old, nil) },
			Admit: func() bool { return false },
		}).Serve(ctx, l, func(_ *relay.Queue, stop <-chan struct{}) error {
			<-stop
			return nil
		})
	}()
	b.Cleanup(func() {
		cancel()
		<-ended
	})
	roundTrips(b, l.Addr().String(), client.Path(old))
}

// With a shadow, on the same machine as the old server and the client.
func BenchmarkShadow(b *testing.B) {
	old, fresh := broker(b, all), broker(b, all)
	c := compare(b, "vws", old["vws"], fresh["vws"], nil)
	roundTrips(b, c.address, c.path)
	if seen, err := c.end(); err != nil || seen.Different() > 0 {
		b.Errorf("%+v, %v", seen, err)
	}
}

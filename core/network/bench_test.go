package network

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
)

// BenchmarkFanOut delivers 128 bytes to 1000 subscribers, with a given number of messages
// in flight. One op is one delivery; allocations are those of the whole process, which
// also reads the messages.
func BenchmarkFanOut(b *testing.B) {
	const receivers = 1000
	for _, inFlight := range []int{1, 16} {
		b.Run(fmt.Sprintf("inflight=%d", inFlight), func(b *testing.B) {
			r := start(b, nil)
			text := strings.Repeat("x", 128)
			frame := 2 + 2 + len(text)
			var received atomic.Int64
			done := make(chan struct{}, 1)
			target := int64(inFlight * receivers * frame)
			for range receivers {
				c := r.dial("chat")
				c.send("sub")
				c.expect("ok")
				go func() {
					buf := make([]byte, 16<<10)
					for {
						n, err := c.Read(buf)
						if err != nil {
							return
						}
						if received.Add(int64(n))%target == 0 {
							done <- struct{}{}
						}
					}
				}()
			}
			message := []byte(text)
			b.ReportAllocs()
			b.ResetTimer()
			for range (b.N + inFlight*receivers - 1) / (inFlight * receivers) {
				for range inFlight {
					r.hub.publish(message, nil)
				}
				<-done
			}
		})
	}
}

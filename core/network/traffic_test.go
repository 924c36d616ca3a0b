package network

import (
	"testing"

	"github.com/polywire/polywire/core"
)

// A rate is over the time since the look before the last one, which was not just now, or since the connection was opened.
func TestTrafficLooks(t *testing.T) {
	const opened = 100
	var tr traffic
	for _, tt := range []struct {
		now         uint32
		in, out     int // messages of 10 bytes since the step before
		wants, over uint64
	}{
		{now: opened, wants: 0, over: 0},
		{now: opened + 50, wants: 0, over: 50},
		{now: opened + 60, in: 3, out: 2, wants: 5, over: 60},
		{now: opened + 61, in: 1, wants: 6, over: 61},
		{now: opened + 60 + lookPause, out: 1, wants: 2, over: uint64(lookPause)},
		{now: opened + 61 + lookPause, in: 4, wants: 6, over: 1 + uint64(lookPause)},
		{now: opened + 60 + 2*lookPause, wants: 4, over: uint64(lookPause)},
		{now: opened + 60 + 3*lookPause, wants: 0, over: uint64(lookPause)},
	} {
		for range tt.in {
			tr.heard(10)
		}
		for range tt.out {
			tr.said(10)
		}
		recent, ticks := tr.look(opened, tt.now)
		if n := recent.MessagesIn + recent.MessagesOut; n != tt.wants || recent.BytesIn+recent.BytesOut != 10*n || uint64(ticks) != tt.over {
			t.Errorf("at %d: %+v over %d, want %d messages over %d", tt.now-opened, recent, ticks, tt.wants, tt.over)
		}
	}
	if want := (core.Traffic{MessagesIn: 8, BytesIn: 80, MessagesOut: 3, BytesOut: 30}); tr.Traffic != want {
		t.Errorf("in all %+v, want %+v", tr.Traffic, want)
	}
}

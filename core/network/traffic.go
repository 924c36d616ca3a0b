package network

import (
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/timers"
)

// lookPause is how far apart, in ticks, two looks at the traffic of a connection are that are remembered. So a rate is over at
// least that time, unless nobody has looked before.
const lookPause = uint32(5 * time.Second / timers.Tick)

// traffic is what a connection has said and heard. Owned by the loop.
type traffic struct {
	core.Traffic

	// looks are the last ones, the older one first; nil until somebody looks. Who looks pays for the rates, and nobody
	// else.
	looks *[2]look
}

// look is the traffic at a tick.
type look struct {
	at    uint32
	total core.Traffic
}

func (t *traffic) heard(n int) {
	t.MessagesIn++
	t.BytesIn += uint64(n)
}

func (t *traffic) said(n int) {
	t.MessagesOut++
	t.BytesOut += uint64(n)
}

// look returns the traffic since the older of the last looks, or since the connection was opened, and how many ticks that
// is.
func (t *traffic) look(opened, now uint32) (recent core.Traffic, ticks uint32) {
	if t.Traffic == (core.Traffic{}) {
		return recent, now - opened
	}
	if t.looks == nil {
		t.looks = &[2]look{{at: opened}, {at: now, total: t.Traffic}}
	}
	if newer := t.looks[1]; now-newer.at >= lookPause {
		*t.looks = [2]look{newer, {at: now, total: t.Traffic}}
	}
	from := t.looks[0]
	return t.Sub(from.total), now - from.at
}

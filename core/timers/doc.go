// Package timers has a coarse clock and a timer wheel, for very many deadlines that are set
// and moved all the time but seldom expire.
package timers

import "time"

// Tick is the resolution of deadlines.
const Tick = 100 * time.Millisecond

// Ticks converts a duration, rounded up, so that no deadline expires early. 0 stays 0.
func Ticks(d time.Duration) uint32 { return uint32((d + Tick - 1) / Tick) }

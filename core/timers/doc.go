// Package timers has what very many deadlines need that are set and moved all the time, and
// seldom come: a coarse clock, and a wheel.
package timers

import "time"

// Tick is the resolution of deadlines.
const Tick = 100 * time.Millisecond

// Ticks converts a duration, rounded up, so that no deadline comes early. 0 stays 0.
func Ticks(d time.Duration) uint32 { return uint32((d + Tick - 1) / Tick) }

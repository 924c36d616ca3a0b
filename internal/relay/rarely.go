package relay

import (
	"fmt"
	"sync"
	"time"
)

// rare is the time between two notes of one kind.
const rare = time.Minute

// Rarely returns a function that tells note of the first text and then of one a minute, with how many it has left out:
// clients can cause as many as they like. Any goroutine.
func Rarely(note func(string)) func(string) {
	var mu sync.Mutex
	var told time.Time
	left := 0
	return func(text string) {
		mu.Lock()
		defer mu.Unlock()
		if !told.IsZero() && time.Since(told) < rare {
			left++
			return
		}
		if left > 0 {
			text = fmt.Sprintf("%s (and %d times before)", text, left)
		}
		told, left = time.Now(), 0
		note(text)
	}
}

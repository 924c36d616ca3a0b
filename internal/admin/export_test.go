package admin

import (
	"net/http"
	"time"
)

// SetReadTimeout sets how long a request may be read for. It is called before Start.
func (s *Server) SetReadTimeout(d time.Duration) { s.http.ReadTimeout = d }

// Guesses are guesses, with a clock.
type Guesses struct{ *guesses }

func NewGuesses(now func() time.Time) Guesses {
	g := newGuesses()
	g.now = now
	return Guesses{g}
}

func (g Guesses) Wrong(r *http.Request)              { g.wrong(r) }
func (g Guesses) Wait(r *http.Request) time.Duration { return g.wait(r) }
func (g Guesses) Len() int                           { return len(g.spent) }

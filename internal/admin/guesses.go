package admin

import (
	"net/http"
	"net/netip"
	"sync"
	"time"
)

const (
	// guessBurst is how many wrong credentials one address may show at once, and guessPause is after how long it
	// may show one more.
	guessBurst = 10
	guessPause = 5 * time.Second
	// maxGuessers is how many addresses are remembered; who has more can guess from each.
	maxGuessers = 4096
)

// guesses bounds how fast credentials can be guessed from one address. Any goroutine.
type guesses struct {
	// Static after construction.
	now func() time.Time

	// Guarded by mu.
	mu    sync.Mutex
	spent map[netip.Prefix]time.Time // when an address will have no wrong credential on its account
}

func newGuesses() *guesses {
	return &guesses{now: time.Now, spent: make(map[netip.Prefix]time.Time)}
}

// wait returns how long nobody looks at what an address shows; 0 if it may try.
func (g *guesses) wait(r *http.Request) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return max(0, g.spent[senderOf(r)].Add(-(guessBurst-1)*guessPause).Sub(g.now()))
}

// wrong counts a wrong credential.
func (g *guesses) wrong(r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	at := senderOf(r)
	until, known := g.spent[at]
	if !known && len(g.spent) >= maxGuessers {
		for other := range g.spent {
			delete(g.spent, other)
			break
		}
	}
	if until.Before(now) {
		until = now
	}
	// What was looked at together may be more than the burst; that does not count for longer.
	if until = until.Add(guessPause); until.After(now.Add(guessBurst * guessPause)) {
		until = now.Add(guessBurst * guessPause)
	}
	g.spent[at] = until
}

// senderOf returns under what the sender of a request is counted: its address, of IPv6 its network.
func senderOf(r *http.Request) netip.Prefix {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{} // a Unix socket
	}
	bits, from := 32, remote.Addr().Unmap().WithZone("")
	if from.Is6() {
		bits = 64
	}
	at, err := from.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return at
}

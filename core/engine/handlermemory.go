package engine

// The bounds of what Go handlers are given, and hold until they return, in bytes.
const (
	defaultCallBudget = 256 << 20
	maxShare          = 8        // the part of the budget that one connection has, or one call
	minHeld           = 64 << 10 // what a connection has in any case
)

// handlerMemory bounds what Go handlers are given with calls: within the budget, of which
// one caller has a part, but for a little that each may always have. Guarded by
// callTable.mu, which such a call takes anyway.
type handlerMemory struct {
	budget int // the bound of held; static after construction
	held   int // bytes that Go handlers have
}

// take counts n bytes that a Go handler is to be given of a call of by. It reports false,
// and counts nothing, if there is no room for them.
func (m *handlerMemory) take(by *partyCalls, n int) bool {
	if !m.room(by.held, n) {
		return false
	}
	m.held += n
	by.held += n
	return true
}

// room reports whether there is room for n bytes of a caller that has own already.
func (m *handlerMemory) room(own, n int) bool {
	switch {
	case own+n <= minHeld:
		return true
	case own > 0 && own+n > m.budget/maxShare:
		return false
	}
	return m.held == 0 || m.held+n <= m.budget
}

// give counts n bytes as free again; by is nil if the caller is gone.
func (m *handlerMemory) give(by *partyCalls, n int) {
	m.held -= n
	if by != nil {
		by.held -= n
	}
}

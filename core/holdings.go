package core

// MaxHoldings bounds the names of each kind in Holdings.
const MaxHoldings = 1000

// Holdings are what a connection has at the engine, named as its client names it.
type Holdings struct {
	// Topics and Patterns are what it hears.
	Topics, Patterns []string
	// Services are what it offers, and others may offer too; Channels are what it owns alone.
	Services, Channels []string
	// More is how many names there are beyond MaxHoldings of a kind.
	More int
	// Session says that it has a place in a session.
	Session bool
	// Asking is how many of its calls have no outcome yet, and Asked how many calls it has still to
	// answer.
	Asking, Asked int
	// Refused is what it has asked for lately and did not get, the last one first.
	Refused []RefusedCommand
}

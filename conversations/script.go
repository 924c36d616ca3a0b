package conversations

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// DefaultTimeout is how long an expectation waits where a script does not say.
const DefaultTimeout = 5 * time.Second

// Script is one parsed conversation. It does not change after [Parse] and may be
// played many times.
type Script struct {
	// File is the name under which faults of the script are reported.
	File string
	// Config is the broker configuration of the script in YAML, with its ${…}
	// not yet filled in (see [Player.Config]). Empty if the script has none.
	Config string
	// Timeout is how long an expectation waits.
	Timeout time.Duration
	// Slowness is by how much all times of the script are multiplied: those that a ${time}
	// gives the server, and those for which something does not come. 0 is 1.
	Slowness int
	// NoSync turns off the pings by which the player waits for quiet commands.
	NoSync bool

	webhooks   []string
	statements []statement
}

// Timed reports whether the server is given times, within which a busy machine may not
// get as far as the script says.
func (s *Script) Timed() bool { return strings.Contains(s.Config, "${time ") }

// slowed is a time of the script.
func (s *Script) slowed(d time.Duration) time.Duration { return d * time.Duration(max(1, s.Slowness)) }

// maxSlowness is where [Patiently] gives up.
const maxSlowness = 64

// Patiently plays a script and, while it is [Script.Timed] and goes otherwise, plays it
// again with all times twice as long: what goes otherwise then is no matter of time.
func Patiently(s *Script, play func(*Script) error) error {
	err := play(s)
	for slow := *s; err != nil && s.Timed() && slow.Slowness < maxSlowness; err = play(&slow) {
		if _, ok := errors.AsType[*Failure](err); !ok {
			return err
		}
		slow.Slowness = 2 * max(1, slow.Slowness)
	}
	return err
}

// Webhooks returns the names of the webhooks that the script uses.
func (s *Script) Webhooks() []string { return s.webhooks }

// statement is one line of a script, with the lines indented under it.
type statement struct {
	line int
	text string
	step step
}

// step is what a statement does. Its methods are called by the one goroutine
// that plays the script.
type step interface {
	// actor is the connection that the step is about; every other connection is
	// synced before it. Empty for a step that is about none.
	actor() string
	// play carries the step out. A *mismatch becomes a [Failure] with the place
	// of the step and the last frames of its actor.
	play(p *Player) error
}

// mismatch is what was expected and what was found instead.
type mismatch struct {
	expected, arrived, why string
}

func (m *mismatch) Error() string { return "expected " + m.expected + ", arrived " + m.arrived }

// DefaultConfig is the broker configuration of a script that brings none: an
// endpoint for each of the protocols, named after it, and the service "echo".
func DefaultConfig(protocols []string) string {
	var b strings.Builder
	b.WriteString("endpoints:\n")
	for _, name := range protocols {
		fmt.Fprintf(&b, "  - { name: %s, protocol: %s, listen: \"127.0.0.1:0\" }\n", name, name)
	}
	b.WriteString("services:\n  - { match: echo, builtin: echo }\n")
	return b.String()
}

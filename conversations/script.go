package conversations

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// DefaultTimeout is how long an expectation waits if the script does not set it.
const DefaultTimeout = 5 * time.Second

// Script is one parsed conversation. It is immutable after [Parse] and may be played many times.
type Script struct {
	// File is the script's name in reports.
	File string
	// Config is the broker configuration of the script in YAML, with its ${…} not yet replaced (see
	// [Player.Config]). Empty if the script has none.
	Config string
	// Timeout is how long an expectation waits.
	Timeout time.Duration
	// Slowness multiplies all times of the script: those that a ${time} gives the server, and those
	// during which nothing may arrive. 0 is 1.
	Slowness int
	// NoSync turns off the pings with which the player waits for commands without an answer.
	NoSync bool

	webhooks   []string
	statements []statement
}

// Timed reports whether the script gives the server times, which may be too short on a busy
// machine.
func (s *Script) Timed() bool { return strings.Contains(s.Config, "${time ") }

// slowed multiplies a time of the script by its slowness.
func (s *Script) slowed(d time.Duration) time.Duration { return d * time.Duration(max(1, s.Slowness)) }

// maxSlowness is where [Patiently] gives up.
const maxSlowness = 64

// Patiently plays a script. While it is [Script.Timed] and fails, Patiently plays it again with all
// times doubled: a failure that remains is not caused by slowness.
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

// step is the action of a statement. Its methods are called by the one goroutine that plays the
// script.
type step interface {
	// actor is the connection that the step is about; every other connection is synced before it.
	// Empty if the step is about none.
	actor() string
	// play executes the step. A *mismatch becomes a [Failure] with the position of the step and the
	// last frames of its actor.
	play(p *Player) error
}

// mismatch is what was expected and what was found instead.
type mismatch struct {
	expected, arrived, why string
}

func (m *mismatch) Error() string { return "expected " + m.expected + ", arrived " + m.arrived }

// DefaultConfig is the broker configuration of a script without one: an endpoint for each of the
// protocols, named after it, and the service "echo".
func DefaultConfig(protocols []string) string {
	var b strings.Builder
	b.WriteString("endpoints:\n")
	for _, name := range protocols {
		fmt.Fprintf(&b, "  - { name: %s, protocol: %s, listen: \"127.0.0.1:0\" }\n", name, name)
	}
	b.WriteString("services:\n  - { match: echo, builtin: echo }\n")
	return b.String()
}

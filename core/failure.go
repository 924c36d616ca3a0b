package core

// Code is the machine-readable name of a failure. An answerer may use its own codes; the
// broker uses those below.
type Code string

// The broker's own failures.
const (
	// NoService: nobody answers the service.
	NoService Code = "no_service"
	// Timeout: the answer did not come in time.
	Timeout Code = "timeout"
	// Gone: the answerer left before it answered.
	Gone Code = "gone"
	// Denied: the client may not do this.
	Denied Code = "denied"
	// NotOwner: the channel belongs to somebody else, or to nobody.
	NotOwner Code = "not_owner"
	// Taken: the channel or service has an owner already.
	Taken Code = "taken"
	// Unreachable: another system that is needed cannot be reached; retry later.
	Unreachable Code = "unreachable"
	// Overloaded: a bound was reached; retry later.
	Overloaded Code = "overloaded"
	// Shutdown: the broker is draining.
	Shutdown Code = "shutdown"
	// Invalid: the message cannot be understood.
	Invalid Code = "invalid"
	// AnswererError: the answerer failed and gave no code of its own.
	AnswererError Code = "error"
	// Internal: something failed inside; the client is told no details.
	Internal Code = "internal"
	// SessionUnknown: there is no session with this key.
	SessionUnknown Code = "session_unknown"
	// SessionFull: the session has as many connections as it may have.
	SessionFull Code = "session_full"
	// SessionsOff: the endpoint has no sessions.
	SessionsOff Code = "sessions_off"
	// SessionExists: the connection has a session already.
	SessionExists Code = "session_exists"
)

// Failure is the reason why a command or a call failed, in a form that a client
// may see. The zero value is no failure. Text is for people and may be empty.
type Failure struct {
	Code Code
	Text string
}

// Failed reports whether f is a failure.
func (f Failure) Failed() bool { return f.Code != "" }

// Error returns "code: text".
func (f Failure) Error() string {
	if f.Text == "" {
		return string(f.Code)
	}
	return string(f.Code) + ": " + f.Text
}

package plugin

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Options say how a plugin is run. The zero value of any field but Command means the
// default.
type Options struct {
	// Command is the program and its arguments. A program without a slash is looked
	// for in PATH; a relative path is relative to the working directory.
	Command []string
	// Env is added to the broker's own environment.
	Env map[string]string
	// Processes is how many processes share the endpoint's connections; the default is 1.
	// More processes than event loops are of no use.
	Processes int
	// Checksum is the program's required checksum, "sha256:" and 64 hexadecimal digits. If
	// it is "", nothing is checked.
	Checksum string
	// Grace is how long connections wait for a plugin that has ended; after that they are
	// closed. The default is 5 s.
	Grace time.Duration
	// AnswerTimeout is how long a plugin may take for an answer before it is killed. The
	// default is 2 s.
	AnswerTimeout time.Duration
	// StartTimeout is how long a plugin may take to start. The default is 10 s.
	StartTimeout time.Duration
	// MTLS makes both sides prove with certificates that they are still the ones of the
	// start. Only plugins built with package sdk support it.
	MTLS bool
}

func (o Options) withDefaults() Options {
	if o.Processes <= 0 {
		o.Processes = 1
	}
	if o.Grace <= 0 {
		o.Grace = 5 * time.Second
	}
	if o.AnswerTimeout <= 0 {
		o.AnswerTimeout = 2 * time.Second
	}
	if o.StartTimeout <= 0 {
		o.StartTimeout = 10 * time.Second
	}
	return o
}

// check reports options with which no program can be run.
func (o Options) check() error {
	if len(o.Command) == 0 || o.Command[0] == "" {
		return errors.New("command: is missing; it is the program to run and its arguments")
	}
	if _, err := parseChecksum(o.Checksum); err != nil {
		return fmt.Errorf("checksum: %w", errChecksumForm)
	}
	return nil
}

const checksumPrefix = "sha256:"

var errChecksumForm = errors.New(`must be "sha256:" and 64 hexadecimal digits`)

// parseChecksum returns the bytes of a checksum; nil for none.
func parseChecksum(s string) ([]byte, error) {
	if s == "" {
		return nil, nil
	}
	digits, ok := strings.CutPrefix(s, checksumPrefix)
	sum, err := hex.DecodeString(digits)
	if !ok || err != nil || len(sum) != 32 {
		return nil, fmt.Errorf("checksum %w", errChecksumForm)
	}
	return sum, nil
}

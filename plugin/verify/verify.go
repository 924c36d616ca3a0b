package verify

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/polywire/polywire/plugin"
)

// Options say what is verified, and how thoroughly.
type Options struct {
	// Plugin is the program and how it is run.
	Plugin plugin.Options
	// Options are those of the endpoint. Scripts with options of their own add to them.
	Options map[string]any
	// Conversations is the folder with the author's scripts, *.txt; "" is none.
	Conversations string
	// Seed seeds the random messages, and Random is their number. Cuts bounds the number of
	// cut messages.
	Seed         uint64
	Random, Cuts int
	// Slack is how much longer than usual anything may take: for busy machines.
	Slack time.Duration
	// Log takes what the plugin and the brokers say.
	Log *slog.Logger
}

// check is one line of the list. run returns what it has seen, for people.
type check struct {
	name string
	run  func(context.Context) (seen string, err error)
	// do says what to do when the check fails.
	do string
	// gate ends the list when it fails: what follows could not be judged.
	gate bool
}

// Run carries out all checks and writes the list to out, one line each. The error says
// how many have failed.
func Run(ctx context.Context, o Options, out io.Writer) error {
	v := &verifier{Options: o}
	defer v.close()
	list := &checklist{out: out}
	checks := v.contract()
	checks = append(checks, v.conversations()...)
	checks = append(checks, v.messages()...)
	checks = append(checks, v.speaking()...)
	checks = append(checks, v.service()...)
	for _, c := range checks {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("verifying: %w", err)
		}
		if !list.tick(ctx, c) && c.gate {
			break
		}
	}
	return list.end()
}

// verifier holds what the checks share, and the results that later checks use. It is used
// by one goroutine.
type verifier struct {
	Options

	interview *plugin.Interview // running; nil if none is
	took      time.Duration     // how long its start took
	facts     facts             // of its description
	heard     recording         // what the conversations have said
}

// ask returns the running interview, described and ready to be asked, and starts one if
// there is none.
func (v *verifier) ask() (*plugin.Interview, error) {
	if v.interview != nil {
		return v.interview, nil
	}
	i, err := plugin.NewInterview(v.Plugin, v.Log)
	if err != nil {
		return nil, err
	}
	if _, err := i.Describe(v.Options.Options); err != nil {
		i.Close()
		return nil, err
	}
	v.interview = i
	return i, nil
}

// close ends the running interview. The next one has a new process.
func (v *verifier) close() {
	if v.interview != nil {
		v.interview.Close()
		v.interview = nil
	}
}

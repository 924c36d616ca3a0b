package verify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/plugin"
	"github.com/polywire/polywire/plugin/codecpb"
	"github.com/polywire/polywire/plugin/contract"
)

// facts are what the checks need of a description.
type facts struct {
	format     string
	stateful   bool
	maxMessage int
	client     bool
}

// contract returns the checks of the handshake and the description.
func (v *verifier) contract() []check {
	return []check{
		{"starts and shakes hands", v.checkStart, "see \"Starting\" in plugin/codec.proto", true},
		{"takes its options", v.checkOptions, "give the options that it needs with --option, or let it have defaults", true},
		{"describes itself", v.checkDescription, "see message Description in plugin/codec.proto", false},
		{"describes itself again", v.checkAgain, "Describe is called several times and must not depend on how often", false},
		{"refuses unknown options", v.checkUnknown, "return a Problem, so that broker check finds a misspelt option", false},
		{"answers each question once", v.checkAnswers, "see \"Translating\" in plugin/codec.proto", true},
		{"forgets closed connections", v.checkClosed, "answer what is asked behind closed with nothing", false},
	}
}

func (v *verifier) checkStart(context.Context) (string, error) {
	begin := time.Now()
	i, err := plugin.NewInterview(v.Plugin, v.Log)
	if err != nil {
		return "", err
	}
	v.interview, v.took = i, time.Since(begin)
	return fmt.Sprintf("version %d of the contract, in %s", contract.Version, v.took.Round(time.Millisecond)), nil
}

func (v *verifier) checkOptions(context.Context) (string, error) {
	d, err := v.interview.Describe(v.Options.Options)
	if err != nil {
		return "", err
	}
	var problems []error
	for _, p := range d.GetProblems() {
		problems = append(problems, errors.New(strings.TrimPrefix(p.GetOption()+": "+p.GetText(), ": ")))
	}
	v.facts = facts{d.GetFormat(), d.GetStateful(), int(d.GetProfile().GetMaxMessage()), d.GetClient() != nil}
	return "", errors.Join(problems...)
}

func (v *verifier) checkDescription(context.Context) (string, error) {
	d, err := v.interview.Describe(v.Options.Options)
	if err != nil {
		return "", err
	}
	kept := "keeps nothing of its connections"
	if d.GetStateful() {
		kept = "keeps a state of each connection"
	}
	return fmt.Sprintf("%s at %s%s, messages of up to %d bytes, %s", d.GetFormat(), d.GetListen(), d.GetPath(), v.facts.maxMessage, kept),
		errors.Join(faultsOf(d)...)
}

// faultsOf returns what is wrong with a description that the host would take.
func faultsOf(d *codecpb.Description) (faults []error) {
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if d.GetFormat() == "" || strings.ContainsFunc(d.GetFormat(), func(r rune) bool { return r <= ' ' || r > '~' }) {
		add("its format %q is no name: printable ASCII without spaces", d.GetFormat())
	}
	if _, port, err := net.SplitHostPort(d.GetListen()); d.GetListen() != "" && (err != nil || port == "") {
		add("its listen %q is no address such as :7000", d.GetListen())
	}
	if d.GetPath() != "" && d.GetPath()[0] != '/' {
		add("its path %q does not begin with /", d.GetPath())
	}
	p := d.GetProfile()
	if p.GetPongTimeout() > 0 && p.GetPingInterval() >= p.GetPongTimeout() {
		add("its pong_timeout (%d ms) is over before the next ping (%d ms)", p.GetPongTimeout(), p.GetPingInterval())
	}
	if p.GetCloseReply() != 0 && !closeCode(p.GetCloseReply()) {
		add("its close_reply %d is no code for a close frame", p.GetCloseReply())
	}
	if s := p.GetPlainStatus(); s != 0 && (s < 200 || s > 599) {
		add("its plain_status %d is no HTTP status", s)
	}
	named := make(map[string]bool)
	for _, g := range d.GetGoodbyes() {
		if _, known := contract.ReasonOf(g.GetReason()); !known {
			add("it has a goodbye for %q, which is no reason", g.GetReason())
		}
		if named[g.GetReason()] {
			add("it has two goodbyes for %q", g.GetReason())
		}
		named[g.GetReason()] = true
		if g.GetCode() != 0 && !closeCode(g.GetCode()) {
			add("its goodbye for %q has the code %d, which no close frame may have", g.GetReason(), g.GetCode())
		}
		if !utf8.ValidString(g.GetText()) {
			add("its goodbye for %q is not UTF-8", g.GetReason())
		}
	}
	return faults
}

// closeCode reports whether an endpoint may send a close frame with code (RFC 6455,
// section 7.4).
func closeCode(code uint32) bool {
	switch code {
	case 1004, 1005, 1006, 1015:
		return false
	}
	return code >= 1000 && code <= 4999
}

func (v *verifier) checkAgain(context.Context) (string, error) {
	first, err := v.interview.Describe(v.Options.Options)
	if err != nil {
		return "", err
	}
	second, err := v.interview.Describe(v.Options.Options)
	if err != nil {
		return "", err
	}
	if !proto.Equal(first, second) {
		return "", errors.New("the second description differs from the first")
	}
	return "", nil
}

// unknownOption is an option that no format has.
const unknownOption = "no_such_option"

func (v *verifier) checkUnknown(context.Context) (string, error) {
	d, err := v.interview.Describe(map[string]any{unknownOption: "x"})
	if err != nil {
		return "", err
	}
	if len(d.GetProblems()) == 0 {
		return "", fmt.Errorf("it has nothing against the option %s", unknownOption)
	}
	// The last description counts.
	_, err = v.interview.Describe(v.Options.Options)
	return d.GetProblems()[0].GetText(), err
}

// checkAnswers asks what can be asked of any format, in messages of no, one and many
// questions.
func (v *verifier) checkAnswers(context.Context) (string, error) {
	i, err := v.ask()
	if err != nil {
		return "", err
	}
	hello := core.Frame{Kind: core.TextFrame, Data: []byte("hello")}
	opening := []contract.Question{{Kind: contract.Open, Conn: 1}}
	many := []contract.Question{{Kind: contract.Open, Conn: 2}}
	for range 100 {
		many = append(many, contract.Question{Kind: contract.Decode, Conn: 2, Frame: hello})
	}
	for _, questions := range [][]contract.Question{nil, opening, nil, many} {
		if _, err := i.Ask(questions); err != nil {
			v.close()
			return "", err
		}
	}
	return "", nil
}

// checkClosed asks about a connection that is gone.
func (v *verifier) checkClosed(context.Context) (string, error) {
	if !v.facts.stateful {
		return "", unfounded("it keeps nothing of its connections")
	}
	i, err := v.ask()
	if err != nil {
		return "", err
	}
	replies, err := i.Ask([]contract.Question{
		{Kind: contract.Open, Conn: 3},
		{Kind: contract.Closed, Conn: 3},
		{Kind: contract.Encode, Conn: 3, Event: core.Event{Kind: core.Failed, Verb: core.Subscribe, Topic: []byte("t"), Failure: core.Failure{Code: core.Denied}}},
		{Kind: contract.Encode, Conn: 3, Event: core.Event{Kind: core.Message, Topic: []byte("t"), Payload: core.Payload{Kind: core.Text, Data: []byte("x")}}},
	})
	if err != nil {
		v.close()
		return "", err
	}
	for _, r := range replies[1:] {
		if r.Frame.Kind != core.NoFrame {
			return "", fmt.Errorf("it answers with %s for a connection that is closed", shown(r.Frame))
		}
	}
	return "", nil
}

package plugin

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/plugin/codecpb"
	"github.com/polywire/polywire/plugin/contract"
)

// maxGoodbye is the longest text of a close frame (RFC 6455, section 5.5.1).
const maxGoodbye = 123

var errNoProfile = errors.New("its description has no profile with a max_message")

// checkDescription reports a description that cannot be used.
func checkDescription(d *codecpb.Description) error {
	if d.GetContract() != contract.Version {
		return fmt.Errorf("it speaks version %d of the contract, and the broker version %d", d.GetContract(), contract.Version)
	}
	if len(d.GetProblems()) > 0 {
		return nil // the rest need not be there
	}
	if n := d.GetProfile().GetMaxMessage(); n == 0 || n > math.MaxInt32 {
		return errNoProfile
	}
	for _, g := range d.GetGoodbyes() {
		if len(g.GetText()) > maxGoodbye || g.GetCode() > math.MaxUint16 {
			return fmt.Errorf("its goodbye for %q does not fit a close frame", g.GetReason())
		}
	}
	return nil
}

// problemsOf returns the plugin's problems with the options; nil if there are none.
func problemsOf(d *codecpb.Description) error {
	var problems []error
	for _, p := range d.GetProblems() {
		if p.GetOption() == "" {
			problems = append(problems, errors.New(p.GetText()))
		} else {
			problems = append(problems, fmt.Errorf("%s: %s", p.GetOption(), p.GetText()))
		}
	}
	return errors.Join(problems...)
}

func profileOf(p *codecpb.Profile) core.Profile {
	return core.Profile{
		MaxMessage:   int(p.GetMaxMessage()),
		PingInterval: ms(p.GetPingInterval()), PongTimeout: ms(p.GetPongTimeout()),
		IdleTimeout: ms(p.GetIdleTimeout()), IdleCheck: ms(p.GetIdleCheck()), PingsCount: p.GetPingsCount(),
		CloseReply: uint16(p.GetCloseReply()), Subprotocol: p.GetSubprotocol(), Deflate: p.GetDeflate(),
		SameOrigin: p.GetSameOrigin(), CORS: p.GetCors(), PlainStatus: int(p.GetPlainStatus()),
		Subprotocols: p.GetSubprotocols(), HTTP11: p.GetHttp11(), OptionsStatus: int(p.GetOptionsStatus()),
	}
}

func needsOf(n *codecpb.Needs) core.Needs {
	return core.Needs{
		AuthorizerURL: n.GetAuthorizerUrl(), AuthorizerTimeout: ms(n.GetAuthorizerTimeout()),
		Sessions: n.GetSessions(), SessionsDir: n.GetSessionsDir(), MaxSessionConnections: int(n.GetSessionsMaxConnections()),
		HTTPPath: n.GetHttpPath(), CallsAtOnce: int(n.GetCallsAtOnce()),
	}
}

// ms returns n milliseconds, bounded by the longest duration.
func ms(n uint64) time.Duration {
	return time.Duration(min(n, math.MaxInt64/uint64(time.Millisecond))) * time.Millisecond
}

// goodbye is how connections are ended for one reason.
type goodbye struct {
	code uint16
	text string
}

func goodbyesOf(d *codecpb.Description) (all [core.NumReasons]goodbye) {
	for r := range core.NumReasons {
		all[r] = goodbye{r.CloseCode(), r.String()}
	}
	for _, g := range d.GetGoodbyes() {
		if r, known := contract.ReasonOf(g.GetReason()); known {
			all[r] = goodbye{uint16(g.GetCode()), g.GetText()}
		}
	}
	return all
}

package main

import (
	"bytes"
	"crypto/subtle"
	"strconv"

	"github.com/polywire/polywire/core"
)

// versions are what this plugin speaks, as ERROR and accept-version write it.
const versions = "1.2,1.1"

var (
	errVersion   = fault{core.ReasonUnknownType, core.Failure{Code: core.Invalid, Text: "the versions are " + versions}}
	errHeartBeat = malformed("heart-beat is two numbers, as in 0,0")
	errLogin     = fault{core.ReasonDenied, core.Failure{Code: core.Denied, Text: "login or passcode are wrong"}}
)

// connect handles CONNECT or STOMP. The header host may be anything or missing: there is one
// virtual host.
func (c *codec) connect(f *frame, to core.Sink) error {
	v := none
	for offered := range bytes.SplitSeq(f.get("accept-version"), []byte(",")) {
		switch string(bytes.TrimSpace(offered)) {
		case "1.2":
			v = v12
		case "1.1":
			v = max(v, v11)
		}
	}
	switch {
	case v == none:
		return errVersion
	case !validHeartBeat(f.get("heart-beat")):
		return errHeartBeat
	case !c.format.options.admits(f.get("login"), f.get("passcode")):
		return errLogin
	}
	c.version = v
	to.Do(core.Command{Verb: core.Ping, Ref: []byte{refConnected}})
	return nil
}

// validHeartBeat checks the client's offer. It is not used: both sides rely on the pings of
// the WebSocket.
func validHeartBeat(b []byte) bool {
	if b == nil {
		return true
	}
	send, want, _ := bytes.Cut(b, []byte(","))
	_, err1 := strconv.ParseUint(string(send), 10, 63)
	_, err2 := strconv.ParseUint(string(want), 10, 63)
	return err1 == nil && err2 == nil
}

// admits reports whether a client with these credentials may connect.
func (o *options) admits(login, passcode []byte) bool {
	if o.Login == "" && o.Passcode == "" {
		return true
	}
	same := subtle.ConstantTimeCompare(login, []byte(o.Login)) & subtle.ConstantTimeCompare(passcode, []byte(o.Passcode))
	return same == 1
}

// appendConnected appends the answer to CONNECT.
func appendConnected(dst []byte, v version) []byte {
	name := "1.2"
	if v == v11 {
		name = "1.1"
	}
	return append(append(append(dst, "CONNECTED\nversion:"...), name...), "\nheart-beat:0,0\nserver:polywire-stomp\n\n\x00"...)
}

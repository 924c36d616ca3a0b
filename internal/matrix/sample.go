package matrix

import (
	"bytes"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/rawjson"
)

// sample is a content that is sent, and how one tells what became of it.
type sample struct {
	// name is the last part of the properties.
	name string
	// payload is what is sent; natural, if it is set, where the sender's format has JSON and no text.
	payload core.Payload
	natural core.Payload
	// meant reports whether what was decoded is still that.
	meant func(core.Payload) bool
	// became says what the receiver reads: what its codec made of it, and the messages of both sides.
	became func(p core.Payload, sent, got []byte) (Outcome, string)
}

// What samples hold.
const (
	sampleObject = `{"n":9007199254740993,"a":[1.50,"é"]}`
	sampleText   = "hello, é"
	sampleNumber = "42"
	sampleBytes  = "\xff\x00\xfe"
	samplePlain  = "plain"
	sampleWide   = "hé😀"

	// binaryObject is how bytes begin that are written as JSON.
	binaryObject = `{"$binary":`
)

// The details of what is changed.
const (
	asBinaryObject = `as {"$binary":"…"} in base64`
	asValue        = "as the JSON that it reads as: the number 42"
	asQuoted       = `with its quotes: "42"`
	asText         = "as text"
	asUTF8         = "as text in UTF-8"
	asNullText     = "as the text null"
	asEmptyText    = "as an empty text"
)

func text(s string) core.Payload { return core.Payload{Kind: core.Text, Data: []byte(s)} }

func jsonOf(s string) core.Payload { return core.Payload{Kind: core.JSON, Data: []byte(s)} }

// reads returns the text that a payload is for who reads it; ok is false if it is no text.
func reads(p core.Payload) (_ string, ok bool) {
	switch p.Kind {
	case core.Text:
		return string(p.Data), true
	case core.JSON:
		characters, ok := rawjson.Unquote(p.Data, nil)
		return string(characters), ok
	}
	return "", false
}

// textual returns meant and became of a text.
func textual(want string) (func(core.Payload) bool, func(core.Payload, []byte, []byte) (Outcome, string)) {
	meant := func(p core.Payload) bool {
		got, ok := reads(p)
		return ok && got == want
	}
	return meant, func(p core.Payload, _, _ []byte) (Outcome, string) {
		if meant(p) {
			return Whole, ""
		}
		return Changed, "as " + string(p.Data)
	}
}

// samples are the contents of messages, requests and answers.
func samples() []sample {
	object := sample{name: "json", payload: jsonOf(sampleObject)}
	object.meant = func(p core.Payload) bool { return p.Kind != core.Binary && string(p.Data) == sampleObject }
	object.became = func(p core.Payload, _, _ []byte) (Outcome, string) {
		if object.meant(p) {
			return Whole, ""
		}
		return Changed, "as " + string(p.Data)
	}

	plain := sample{name: "text", payload: text(sampleText)}
	plain.meant, plain.became = textual(sampleText)

	empty := sample{name: "empty", payload: text("")}
	empty.meant, empty.became = textual("")

	number := sample{name: "text_like_json", payload: text(sampleNumber), natural: jsonOf(`"` + sampleNumber + `"`)}
	number.meant, _ = textual(sampleNumber)
	number.became = func(p core.Payload, _, _ []byte) (Outcome, string) {
		switch {
		case number.meant(p):
			return Whole, ""
		case p.Kind == core.JSON:
			return Changed, asValue
		}
		return Changed, asQuoted
	}

	octets := sample{name: "bytes", payload: core.Payload{Kind: core.Binary, Data: []byte(sampleBytes)}}
	octets.meant = func(p core.Payload) bool { return p.Kind == core.Binary && string(p.Data) == sampleBytes }
	octets.became = func(_ core.Payload, sent, got []byte) (Outcome, string) {
		if bytes.Contains(got, []byte(sampleBytes)) || bytes.Contains(sent, []byte(binaryObject)) {
			return Whole, "" // the object is what was sent
		}
		return Changed, asBinaryObject
	}

	ascii := sample{name: "bytes_like_text", payload: core.Payload{Kind: core.Binary, Data: []byte(samplePlain)}}
	ascii.meant = func(p core.Payload) bool { return p.Kind == core.Binary }
	ascii.became = func(p core.Payload, _, _ []byte) (Outcome, string) {
		if p.Kind == core.Binary {
			return Whole, ""
		}
		return Changed, asText
	}

	wide := sample{name: "utf16", payload: core.TextUTF16(core.AppendUTF16(nil, []byte(sampleWide)))}
	wide.meant = func(p core.Payload) bool { return len(p.UTF16) > 0 }
	wide.became = func(p core.Payload, _, _ []byte) (Outcome, string) {
		if bytes.Equal(p.UTF16, wide.payload.UTF16) {
			return Whole, ""
		}
		return Changed, asUTF8
	}

	null := sample{name: "null", payload: jsonOf("null")}
	null.meant = func(p core.Payload) bool {
		return p.Kind == core.Absent || p.Kind == core.JSON && string(p.Data) == "null"
	}
	null.became = func(p core.Payload, _, _ []byte) (Outcome, string) {
		switch {
		case null.meant(p):
			return Whole, ""
		case len(p.Data) == 0:
			return Changed, asEmptyText
		}
		return Changed, asNullText
	}
	return []sample{object, plain, number, empty, null, octets, ascii, wide}
}

// PairProperties are the properties of pairs, in the order of their cells.
func PairProperties() []string {
	var all []string
	add := func(of string, more ...string) {
		for _, s := range samples() {
			all = append(all, of+"."+s.name)
		}
		for _, name := range more {
			all = append(all, of+"."+name)
		}
	}
	add("message", "headers", "topic", "odd_topic", "long_topic", "size")
	add("request", "headers", "one_way", "size")
	add("answer", "size")
	return append(all, "failure.code", "failure.number", "failure.text")
}

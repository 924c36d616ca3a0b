package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/polywire/polywire/core"
)

// kind is the flag that says what a payload is.
type kind struct{ name string }

func (k *kind) add(flags *pflag.FlagSet) {
	flags.StringVar(&k.name, "kind", "auto", "what the payload is: json, text or binary; auto is the first of these that it can be")
}

// payloadHelp tells how a payload is given; it is part of the help of commands that have one.
const payloadHelp = `PAYLOAD is the message itself, - for standard input, or @FILE. Without it there is
none. It is JSON if it can be, else text, else bytes, unless --kind says otherwise.`

// maxPayload bounds what is read from standard input or a file.
const maxPayload = 64 << 20

// read returns the payload that the arguments give: none, or one.
func (k *kind) read(args []string, stdin io.Reader) (core.Payload, error) {
	if len(args) == 0 {
		return core.Payload{}, nil
	}
	data := []byte(args[0])
	var err error
	switch file, isFile := strings.CutPrefix(args[0], "@"); {
	case args[0] == "-":
		data, err = readAll(stdin)
	case isFile:
		var f *os.File
		if f, err = os.Open(file); err == nil {
			data, err = readAll(f)
			_ = f.Close()
		}
	}
	if err != nil {
		return core.Payload{}, fmt.Errorf("reading the payload: %w", err)
	}
	return k.of(data)
}

func readAll(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxPayload+1))
	if err == nil && len(data) > maxPayload {
		err = fmt.Errorf("over %d bytes", maxPayload)
	}
	return data, err
}

// of returns the payload of data.
func (k *kind) of(data []byte) (core.Payload, error) {
	p := core.Payload{Data: data}
	switch k.name {
	case "json":
		p.Kind = core.JSON
	case "text":
		p.Kind = core.Text
	case "binary":
		p.Kind = core.Binary
	case "auto":
		p = core.Sniff(data)
	default:
		return p, fmt.Errorf("--kind must be auto, json, text or binary, not %q", k.name)
	}
	if err := p.Check(); err != nil {
		return p, fmt.Errorf("reading the payload: %w", err)
	}
	return p, nil
}

// form is the flag that says how messages are printed.
type form struct{ name string }

func (f *form) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.name, "format", "text", "text, json (an object for each line), or raw (the payload alone)")
}

func (f *form) check() error {
	switch f.name {
	case "text", "json", "raw":
		return nil
	}
	return fmt.Errorf("--format must be text, json or raw, not %q", f.name)
}

// print writes a message, with its topic if it has one and named is true.
func (f *form) print(w io.Writer, ev core.Event, named bool) error {
	text := core.AppendText(nil, ev.Payload)
	switch f.name {
	case "raw":
		if ev.Payload.Kind == core.Binary {
			text = ev.Payload.Data
		}
	case "json":
		line := struct {
			Topic   string          `json:"topic,omitempty"`
			Kind    string          `json:"kind"`
			Payload json.RawMessage `json:"payload"`
			Headers json.RawMessage `json:"headers,omitempty"`
		}{string(ev.Topic), kindNames[ev.Payload.Kind], core.AppendJSON(nil, ev.Payload), ev.Headers}
		var err error
		if text, err = json.Marshal(line); err != nil {
			return fmt.Errorf("printing a message: %w", err)
		}
	default:
		if named && len(ev.Topic) > 0 {
			text = append(append(append([]byte(nil), ev.Topic...), ' '), text...)
		}
	}
	if _, err := w.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("printing a message: %w", err)
	}
	return nil
}

var kindNames = map[core.PayloadKind]string{core.Absent: "absent", core.JSON: "json", core.Text: "text", core.Binary: "binary"}

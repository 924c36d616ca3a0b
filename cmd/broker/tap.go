package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/record"
)

// newTap returns the command that shows what the running broker sees.
func newTap() *cobra.Command {
	var t tapping
	cmd := &cobra.Command{
		Use:   "tap [ENDPOINT | --connection NUMBER | --topic TOPIC]",
		Short: "Show what an endpoint, a connection or a topic of the running broker sees, as it happens",
		Long: `tap asks the running broker, at the admin address of the configuration, for what it sees, and prints
it until an interrupt (Ctrl-C).

Of an endpoint or a connection it prints a line for each message: the time, the connection's number
(as connections lists it), > for what the client says or < for what the broker says, and the
message. Of an endpoint connections that were open before are not shown. With both, the endpoint is
tapped and only what this connection says and hears is printed.

Of a topic, or of all topics that a pattern matches, it prints a block for each message: what the
publisher has said in its own format, the message as the broker carries it, and what the receivers
are told, once for each format, with what that cannot carry.

Messages are shown as they are, but for what --redact and admin.redact leave out. Credentials in
requests are left out unless --show-credentials is given.`,
		Example: `  broker tap --config config.yaml web
  broker tap --config config.yaml web --connection 7 --json
  broker tap --config config.yaml --connection 7
  broker tap --config config.yaml --topic news/today
  broker tap --config config.yaml --topic 'news/#' --sample 0.01 --redact key:password --max-bytes 200`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			if len(args) == 1 {
				t.endpoint = args[0]
			}
			o, err := t.settings.operator(cmd)
			if err != nil {
				return err
			}
			return t.run(ctx, o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&t.topic, "topic", "", "the messages on this topic, or on those that this pattern matches: whole ones, as topics lists them")
	flags.Uint64Var(&t.connection, "connection", 0, "only what this connection says and hears")
	flags.IntVar(&t.maxMessage, "max-message", 64<<10, "show messages of up to so many bytes, and of longer ones their size")
	flags.IntVar(&t.maxBytes, "max-bytes", 0, "cut what is shown of a message to so many bytes; 0 is all")
	flags.Float64Var(&t.sample, "sample", 1, "show this share of the messages, such as 0.01")
	flags.IntVar(&t.rate, "rate", 0, "show at most so many messages in a second; 0 is all")
	flags.StringArrayVar(&t.redact, "redact", nil, "leave out key:NAME, header:NAME or topic:PATTERN; may be given again")
	flags.BoolVar(&t.credentials, "show-credentials", false, "show tokens, cookies and the like in requests")
	flags.BoolVar(&t.asJSON, "json", false, "print each event as a line of JSON")
	t.settings.addAsking(flags)
	return cmd
}

// tapping are the values of the flags.
type tapping struct {
	settings        settings
	endpoint, topic string
	connection      uint64 // 0 is all
	maxMessage      int
	maxBytes, rate  int
	sample          float64
	redact          []string
	credentials     bool
	asJSON          bool
	blocks          tapBlocks
}

// query returns what is asked for, and what it is for people.
func (t *tapping) query() (q url.Values, of string, err error) {
	q = url.Values{"max_message": {strconv.Itoa(t.maxMessage)}}
	switch {
	case t.maxMessage < 0 || t.maxBytes < 0 || t.rate < 0:
		return nil, "", errors.New("--max-message, --max-bytes and --rate must not be negative")
	case t.topic != "" && (t.endpoint != "" || t.connection != 0):
		return nil, "", errors.New("a topic is tapped at all endpoints: leave out the endpoint and --connection")
	case t.topic != "":
		of = t.topic
		q.Set("topic", t.topic)
	case t.endpoint != "":
		of = t.endpoint
		q.Set("endpoint", t.endpoint)
	case t.connection != 0:
		of = fmt.Sprintf("connection %d", t.connection)
		q.Set("connection", strconv.FormatUint(t.connection, 10))
	default:
		return nil, "", errors.New("say what to tap: an endpoint, --connection or --topic")
	}
	if t.maxBytes > 0 {
		q.Set("max_bytes", strconv.Itoa(t.maxBytes))
	}
	if t.sample != 1 {
		q.Set("sample", strconv.FormatFloat(t.sample, 'g', -1, 64))
	}
	if t.rate > 0 {
		q.Set("rate", strconv.Itoa(t.rate))
	}
	if t.credentials {
		q.Set("show", "credentials")
	}
	for _, rule := range t.redact {
		kind, name, _ := strings.Cut(rule, ":")
		if kind != "key" && kind != "header" && kind != "topic" || name == "" {
			return nil, "", fmt.Errorf("--redact must be key:NAME, header:NAME or topic:PATTERN, not %q", rule)
		}
		q.Add("redact_"+kind, name)
	}
	return q, of, nil
}

func (t *tapping) run(ctx context.Context, o *operator, out, log io.Writer) error {
	q, of, err := t.query()
	if err != nil {
		return err
	}
	stream, err := o.tap(ctx, q)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	fmt.Fprintf(log, "showing what %s sees from now on; an interrupt ends it\n", of)
	next := record.Events(stream, tapLine(t.maxMessage))
	for {
		ev, err := next()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case ev.Kind == core.TapOver:
			return fmt.Errorf("the tap has ended: %s", ev.Data)
		case t.connection != 0 && ev.Connection != t.connection:
			continue
		}
		if err := t.print(out, ev); err != nil {
			return err
		}
	}
}

// tapLine returns how long a line of a tap can be: each byte of a message may be escaped, and requests have a
// head besides.
func tapLine(maxMessage int) int { return 6*maxMessage + 1<<20 }

func (t *tapping) print(out io.Writer, ev core.TapEvent) error {
	if t.asJSON {
		line, err := ev.MarshalJSON()
		if err == nil {
			_, err = fmt.Fprintf(out, "%s\n", line)
		}
		return err
	}
	if t.topic != "" {
		return t.blocks.print(out, ev)
	}
	arrow := ">"
	if ev.FromServer {
		arrow = "<"
	}
	_, err := fmt.Fprintf(out, "%s %d %s %s\n", ev.Time.Local().Format(time.TimeOnly+".000"), ev.Connection, arrow, tapText(ev))
	return err
}

// tapText returns an event for people.
func tapText(ev core.TapEvent) string {
	switch ev.Kind {
	case core.TapText, core.TapBinary:
		if ev.Kind == core.TapBinary && len(ev.Data) > 0 {
			return "binary " + tapData(ev)
		}
		return tapData(ev)
	case core.TapRequest, core.TapResponse:
		line, _, _ := bytes.Cut(ev.Data, []byte("\r\n"))
		return plain(string(line))
	case core.TapClose:
		if len(ev.Data) < 2 {
			return "closes"
		}
		return fmt.Sprintf("closes %d %s", binary.BigEndian.Uint16(ev.Data), plain(string(ev.Data[2:])))
	case core.TapFault:
		return "breaks the protocol: " + plain(string(ev.Data))
	case core.TapDropped:
		return fmt.Sprintf("a message of %d bytes is dropped: the client reads too slowly", ev.Size)
	case core.TapEnd:
		return "ends the connection"
	case core.TapLost:
		return fmt.Sprintf("%d events are missing here: they were not read fast enough", ev.Lost)
	}
	return string(ev.Kind)
}

// tapData returns what is shown of a message, and how long it is if something is missing.
func tapData(ev core.TapEvent) string {
	shown := plain(string(ev.Data))
	if ev.Kind == core.TapBinary || !utf8.Valid(ev.Data) {
		shown = strconv.Quote(string(ev.Data))
	}
	switch {
	case ev.Size == 0 && len(ev.Data) == 0:
		return shown
	case len(ev.Data) == 0 && ev.Redacted:
		return fmt.Sprintf("%s of %d bytes, which is not shown", ev.Kind, ev.Size)
	case len(ev.Data) == 0:
		return fmt.Sprintf("%s of %d bytes", ev.Kind, ev.Size)
	case len(ev.Data) < ev.Size && !ev.Redacted:
		return fmt.Sprintf("%s… (%d bytes)", shown, ev.Size)
	}
	return shown
}

// tap asks for a tap, which ends with ctx.
func (o *operator) tap(ctx context.Context, q url.Values) (stream io.ReadCloser, err error) {
	response, err := o.send(ctx, http.MethodGet, "/v1/tap", q)
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusOK {
		return response.Body, nil
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	if err != nil {
		return nil, fmt.Errorf("reading the broker's answer: %w", err)
	}
	if response.StatusCode == http.StatusNotFound && string(bytes.TrimSpace(text)) == "404 page not found" {
		return nil, errors.New("the running broker has no taps: it is older than this program")
	}
	return nil, refusedBy(response.StatusCode, text)
}

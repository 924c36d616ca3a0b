package main

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/core"
)

// newConnections returns the command that lists the connections of a running broker.
func newConnections() *cobra.Command {
	var s settings
	var asJSON, closed bool
	var limit int
	query := make(map[string]*string)
	cmd := &cobra.Command{
		Use:   "connections [NUMBER]",
		Short: "List who is connected to the running broker",
		Long: `connections asks the running broker, at the admin address of the configuration, who is
connected, or with a number what that connection hears, offers and owns, or with --closed whose
connections have ended last (of up to 1000), and why. QUEUED is what waits
because the client does not read it, IDLE the time since its last message. Nothing is
changed, and the clients are not held up.`,
		Example: `  broker connections --config config.yaml --sort queued --limit 10
  broker connections --config config.yaml 7 --json
  broker connections --config config.yaml --closed --reason slow`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := s.operator(cmd)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				var one polywire.ConnectionDetail
				if err := o.get(cmd.Context(), http.MethodGet, "/v1/connections/"+url.PathEscape(args[0]), nil, &one); err != nil {
					return err
				}
				return printConnection(cmd.OutOrStdout(), one, asJSON)
			}
			if closed {
				return listClosed(cmd, o, given(query), limit, asJSON)
			}
			all, total, err := o.connections(cmd, given(query), limit)
			if err != nil {
				return err
			}
			return printConnections(cmd.OutOrStdout(), all, total, asJSON)
		},
	}
	flags := cmd.Flags()
	for _, one := range []struct{ name, usage string }{
		{"endpoint", "only those of an endpoint"},
		{"protocol", "only those that speak a format"},
		{"user", "only those of a user"},
		{"address", "only those from an address, a network (10.0.0.0/8), or an address with a port"},
		{"topic", "only those that hear a topic, named with its prefix if the endpoint has one"},
		{"sort", "what comes first: the smallest id, or by queued, idle, oldest, newest, rate (messages) or busy (bytes)"},
	} {
		query[one.name] = flags.String(one.name, "", one.usage)
	}
	flags.IntVar(&limit, "limit", 100, "list so many; 0 is all")
	flags.BoolVar(&closed, "closed", false, "list those that have ended, the last one first")
	query["reason"] = flags.String("reason", "", "with --closed: only those that ended for a reason, as metrics name it")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	s.addAsking(flags)
	return cmd
}

// given returns the parameters that were given.
func given(query map[string]*string) url.Values {
	q := url.Values{}
	for name, value := range query {
		if *value != "" {
			q.Set(name, *value)
		}
	}
	return q
}

// listClosed lists connections that have ended.
func listClosed(cmd *cobra.Command, o *operator, q url.Values, limit int, asJSON bool) error {
	q.Set("limit", strconv.Itoa(cmp.Or(limit, 1000)))
	var list polywire.ClosedList
	if err := o.get(cmd.Context(), http.MethodGet, "/v1/connections/closed", q, &list); err != nil {
		return err
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), list)
	}
	t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CONNECTION\tENDPOINT\tPROTOCOL\tREMOTE\tUSER\tCLOSED\tLASTED\tREASON")
	for _, c := range list.Connections {
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.ID, c.Endpoint, c.Protocol, c.Remote, cmp.Or(plain(c.User), "-"),
			c.Closed.Local().Format(time.DateTime), c.Closed.Sub(c.Opened).Round(time.Second), c.Reason)
	}
	if list.Total > len(list.Connections) {
		fmt.Fprintf(t, "\n%d of %d; --limit 0 lists all\n", len(list.Connections), list.Total)
	}
	return flush(t)
}

// connections returns the first connections that a query asks for, as many as limit, and how many there are.
func (o *operator) connections(cmd *cobra.Command, q url.Values, limit int) (all []polywire.Connection, total int, err error) {
	const most = 1000
	for {
		n := most
		if limit > 0 {
			n = min(n, limit-len(all))
		}
		q.Set("limit", strconv.Itoa(n))
		var page polywire.ConnectionList
		if err := o.get(cmd.Context(), http.MethodGet, "/v1/connections", q, &page); err != nil {
			return nil, 0, err
		}
		if len(all) == 0 {
			warnMissing(cmd.ErrOrStderr(), page.Missing)
		}
		all, total = append(all, page.Connections...), page.Total
		if page.Next == "" || len(all) == limit {
			return all, total, nil
		}
		q.Set("after", page.Next)
	}
}

func printConnections(w io.Writer, all []polywire.Connection, total int, asJSON bool) error {
	if asJSON {
		return printJSON(w, polywire.ConnectionList{Connections: all, List: polywire.List{Total: total}})
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CONNECTION\tENDPOINT\tPROTOCOL\tREMOTE\tUSER\tAGE\tIDLE\tQUEUED\t")
	for _, c := range all {
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", c.ID, c.Endpoint, c.Protocol, c.Remote, cmp.Or(plain(c.User), "-"),
			time.Since(c.Opened).Round(time.Second), time.Duration(c.IdleSeconds*float64(time.Second)).Round(time.Second), c.QueuedBytes, remarks(c))
	}
	if total > len(all) {
		fmt.Fprintf(t, "\n%d of %d; --limit 0 lists all\n", len(all), total)
	}
	return flush(t)
}

// plain returns what a client has written in a form that a terminal can show.
func plain(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}

// remarks returns what a connection has that most have not.
func remarks(c polywire.Connection) string {
	var all []string
	for _, one := range []struct {
		is   bool
		text string
	}{{c.TLS, "tls"}, {c.Compressed, "compressed"}, {c.Held, "held"}} {
		if one.is {
			all = append(all, one.text)
		}
	}
	return strings.Join(all, " ")
}

func printConnection(w io.Writer, c polywire.ConnectionDetail, asJSON bool) error {
	if asJSON {
		return printJSON(w, c)
	}
	if err := printConnections(w, []polywire.Connection{c.Connection}, 1, false); err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t)
	for _, one := range []struct {
		what  string
		names []string
	}{{"hears", slices.Concat(c.Topics, c.Patterns)}, {"offers", c.Services}, {"owns", c.Channels}} {
		for i, name := range one.names {
			what := one.what
			if i > 0 {
				what = ""
			}
			fmt.Fprintf(t, "%s\t%s\n", what, plain(name))
		}
	}
	if c.More > 0 {
		fmt.Fprintf(t, "\tand %d names more\n", c.More)
	}
	fmt.Fprintf(t, "calls\t%d that it waits for, %d that it has to answer\n", c.Asking, c.Asked)
	if c.Session {
		fmt.Fprintln(t, "session\tit has one")
	}
	return flush(t)
}

// newKick returns the command that ends a connection.
func newKick() *cobra.Command {
	var s settings
	var reason string
	cmd := &cobra.Command{
		Use:   "kick NUMBER",
		Short: "End a connection of the running broker",
		Long: `kick asks the running broker, at the admin address of the configuration, to end a
connection, whose number connections tells. The client gets what is queued for it, and the
goodbye of its format for the reason. Nothing keeps it from coming back; the access list
of its endpoint does.`,
		Example: `  broker kick --config config.yaml 7 --reason drain`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := s.operator(cmd)
			if err != nil {
				return err
			}
			var one polywire.Connection
			if err := o.get(cmd.Context(), http.MethodDelete, "/v1/connections/"+url.PathEscape(args[0]), url.Values{"reason": {reason}}, &one); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "ended %d: %s of %s, %s\n", one.ID, one.Remote, one.Endpoint, reason)
			return err
		},
	}
	cmd.Flags().StringVar(&reason, "reason", core.ReasonDenied.String(), "why, as metrics name it: denied (1008), drain (1001), slow (1013) …")
	s.addAsking(cmd.Flags())
	return cmd
}

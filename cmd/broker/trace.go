package main

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/polywire/polywire"
)

// newTrace returns the command that says who would hear a message.
func newTrace() *cobra.Command {
	var s settings
	var asJSON, service bool
	query := make(map[string]*string)
	cmd := &cobra.Command{
		Use:   "trace TOPIC",
		Short: "Say who would hear a message, who not, and why",
		Long: `trace asks the running broker, at the admin address of the configuration, who would hear a
message on a topic, without publishing anything: whether the publisher may publish at all, who
hears the topic, who would lose the message all the same and why, and which subscriptions nearly
match. With --service it says who would answer a call.`,
		Example: `  broker trace --config config.yaml news/today
  broker trace --config config.yaml news/today --from 7 --kind binary --size 4096
  broker trace --config config.yaml bots/echo --service --endpoint web`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := s.operator(cmd)
			if err != nil {
				return err
			}
			q := given(query)
			if service {
				q.Set("service", args[0])
				var a polywire.ServiceTrace
				if err := o.get(cmd.Context(), http.MethodGet, "/v1/trace", q, &a); err != nil {
					return err
				}
				return printServiceTrace(cmd.OutOrStdout(), a, asJSON)
			}
			q.Set("topic", args[0])
			var a polywire.MessageTrace
			if err := o.get(cmd.Context(), http.MethodGet, "/v1/trace", q, &a); err != nil {
				return err
			}
			return printMessageTrace(cmd.OutOrStdout(), a, asJSON)
		},
	}
	flags := cmd.Flags()
	for _, one := range []struct{ name, usage string }{
		{"from", "the number of the connection that would publish"},
		{"endpoint", "in whose name it would be published, if it is no connection"},
		{"kind", "what the message is: json, text or binary"},
		{"size", "how many bytes it has"},
		{"limit", "show so many clients of each sort"},
	} {
		query[one.name] = flags.String(one.name, "", one.usage)
	}
	flags.BoolVar(&service, "service", false, "it is a service: say who would answer")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	s.addAsking(flags)
	return cmd
}

func printMessageTrace(w io.Writer, a polywire.MessageTrace, asJSON bool) error {
	if asJSON {
		return printJSON(w, a)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	verdict := fmt.Sprintf("%d would hear it, %d would miss it", a.Hears, a.Missing)
	if !a.May {
		verdict = "nobody would hear it: it may not be published; else " + verdict
	}
	fmt.Fprintf(t, "%s: %s\n\n", plain(a.Topic), verdict)
	printSteps(t, a.Publisher)
	if len(a.Audiences) > 0 {
		fmt.Fprintln(t, "\nENDPOINT\tPROTOCOL\tSUBSCRIPTION\tCLIENTS\tBYTES\t")
	}
	for _, one := range a.Audiences {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%s\n", one.Endpoint, one.Protocol, plain(one.Subscription), one.Clients, one.Bytes, strings.Trim(one.Changed+"; "+one.Note, "; "))
	}
	if len(a.Silent) > 0 {
		fmt.Fprintln(t, "\nWOULD NOT\tENDPOINT\tCAUSE\tWHY")
	}
	for _, one := range a.Silent {
		who := fmt.Sprintf("%d clients", one.Clients)
		if one.Connection != nil {
			who = fmt.Sprintf("connection %d", one.Connection.ID)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s%s\n", who, one.Endpoint, one.Cause, plain(one.Text), advised(one.Advice))
	}
	if len(a.Receivers) > 0 {
		fmt.Fprintln(t, "\nWOULD HEAR IT\tENDPOINT\tREMOTE\tUSER")
	}
	for _, one := range a.Receivers {
		fmt.Fprintf(t, "connection %d\t%s\t%s\t%s\n", one.ID, one.Endpoint, one.Remote, cmp.Or(plain(one.User), "-"))
	}
	if len(a.Near) > 0 {
		fmt.Fprintln(t, "\nNEARLY\tENDPOINT\tCLIENTS\tDIFFERS BY\tWHY")
	}
	for _, one := range a.Near {
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\n", plain(one.Subscription), one.Endpoint, one.Clients, one.How, one.Text)
	}
	if a.Handler != "" {
		fmt.Fprintf(t, "\nthe program's handler of %s hears it too\n", a.Handler)
	}
	if a.OtherNodes > 0 {
		fmt.Fprintf(t, "\nclients of %d other nodes may hear it too; each node knows its own: ask it with broker trace\n", a.OtherNodes)
	}
	if a.Cut {
		fmt.Fprintln(t, "\nthere are more subscriptions than were compared")
	}
	return flush(t)
}

func printServiceTrace(w io.Writer, a polywire.ServiceTrace, asJSON bool) error {
	if asJSON {
		return printJSON(w, a)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	verdict := "nobody answers it"
	if a.Answered {
		verdict = "it is answered"
	}
	if !a.May {
		verdict += "; the caller may not call it"
	}
	fmt.Fprintf(t, "%s: %s\n\n", plain(a.Service), verdict)
	printSteps(t, a.Caller)
	if len(a.Answerers) > 0 {
		fmt.Fprintln(t, "\nANSWERS\tWHO")
	}
	for _, one := range a.Answerers {
		busy := ""
		if one.Busy {
			busy = "; it does not read what it is asked"
		}
		fmt.Fprintf(t, "%s\t%s%s\n", one.Kind, plain(one.Text), busy)
	}
	if a.Why != "" {
		fmt.Fprintf(t, "\n%s\n", plain(a.Why))
	}
	if len(a.Near) > 0 {
		fmt.Fprintln(t, "\nNEARLY\tDIFFERS BY\tWHY")
	}
	for _, one := range a.Near {
		fmt.Fprintf(t, "%s\t%s\t%s\n", plain(one.Service), one.How, one.Text)
	}
	return flush(t)
}

// printSteps writes what was looked at.
func printSteps(w io.Writer, all []polywire.Step) {
	for _, one := range all {
		fmt.Fprintf(w, "%s\t%s\t%s%s\n", one.Result, one.Step, plain(one.Text), advised(one.Advice))
	}
}

func advised(advice string) string {
	if advice == "" {
		return ""
	}
	return "; " + strings.TrimSpace(advice)
}

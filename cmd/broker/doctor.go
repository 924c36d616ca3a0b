package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/polywire/polywire"
)

// newDoctor returns the command that says why a client hears nothing.
func newDoctor() *cobra.Command {
	var s settings
	var asJSON bool
	var topic string
	cmd := &cobra.Command{
		Use:   "doctor CONNECTION|ADDRESS",
		Short: "Say why a client hears nothing",
		Long: `doctor asks the running broker, at the admin address of the configuration, about a connection
by its number, or about all clients of an address (or a network, or an address with a port). It
walks through all that decides whether a client hears something: whether it is let in, who it
is, what it may, what it has subscribed to, what it was refused, who owns the topic, and
whether it reads what it is sent. First comes the most likely cause. --topic is named as
the client names it. The exit code is 0 if there is no problem, and else 1.`,
		Example: `  broker doctor --config config.yaml 7 --topic news/today
  broker doctor --config config.yaml 192.0.2.7`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := s.operator(cmd)
			if err != nil {
				return err
			}
			q := url.Values{}
			if _, err := strconv.ParseUint(args[0], 10, 64); err == nil {
				q.Set("connection", args[0])
			} else {
				q.Set("address", args[0])
			}
			if topic != "" {
				q.Set("topic", topic)
			}
			var d polywire.Diagnosis
			if err := o.get(cmd.Context(), http.MethodGet, "/v1/doctor", q, &d); err != nil {
				return err
			}
			if err := printDiagnosis(cmd.OutOrStdout(), d, asJSON); err != nil {
				return err
			}
			if !d.Healthy {
				return found{}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&topic, "topic", "", "what it should hear, as the client names it")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	s.addAsking(cmd.Flags())
	return cmd
}

// found says that a problem was found, which is printed already.
type found struct{}

func (found) Error() string { return "a problem was found" }

func printDiagnosis(w io.Writer, d polywire.Diagnosis, asJSON bool) error {
	if asJSON {
		return printJSON(w, d)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if d.Healthy {
		fmt.Fprintln(t, "no problem was found")
	} else {
		fmt.Fprintf(t, "%s\n", plain(d.Cause))
	}
	if d.Advice != "" {
		fmt.Fprintf(t, "what to do: %s\n", d.Advice)
	}
	if len(d.Door) > 0 {
		fmt.Fprintln(t)
		printSteps(t, d.Door)
	}
	for _, one := range d.Clients {
		fmt.Fprintf(t, "\nconnection %d of %s, endpoint %s\n", one.Connection.ID, one.Connection.Remote, one.Connection.Endpoint)
		printSteps(t, one.Steps)
	}
	if d.More > 0 {
		fmt.Fprintf(t, "\nand %d connections more\n", d.More)
	}
	return flush(t)
}

package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/polywire/polywire"
)

// printEndpoints writes a table of the addresses that clients dial.
func printEndpoints(w io.Writer, endpoints []polywire.EndpointInfo, adminURL string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ENDPOINT\tPROTOCOL\tURL")
	for _, ep := range endpoints {
		fmt.Fprintf(t, "%s\t%s\t%s\n", ep.Name, ep.Protocol, ep.URL)
		if ep.HTTP != "" {
			fmt.Fprintf(t, "%s\t%s\t%s\n", ep.Name, ep.Protocol, ep.HTTP)
		}
	}
	if adminURL != "" {
		fmt.Fprintf(t, "admin\thttp\t%s\n", adminURL)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("writing the endpoint table: %w", err)
	}
	return nil
}

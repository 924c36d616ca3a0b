package main

import (
	"encoding/json"
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
	return flush(t)
}

// flush ends a table.
func flush(t *tabwriter.Writer) error {
	if err := t.Flush(); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	return nil
}

// printJSON writes an indented JSON document.
func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	return nil
}

package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/internal/matrix"
)

// checking are the values of the flags of the command.
type checking struct {
	settings  settings
	matrix    bool
	endpoints []string
	json      bool
}

// newCheck returns the command that checks a configuration.
func newCheck() *cobra.Command {
	var c checking
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration without listening",
		Long: `check reads the configuration as serve does, with the environment and the flags,
and prints every problem with its file and line. Then it opens what the configuration
names, such as files of keys, certificates and session stores, and prints what cannot be
opened, or else the endpoints and the bridges. What a bridge cannot do as it is
configured, though nothing is wrong with the file, is a line that begins with "note".

With --matrix it also prints what the formats of the endpoints carry to one another, as
they are configured: first what the clients of each have words for, then for each two of
them in both directions what is changed or lost on the way, and what travels whole.
"web -> bots" is what clients of web publish and ask, and what those of bots answer.`,
		Example: `  broker check --config config.yaml
  broker check --matrix
  broker check --matrix --endpoint web --endpoint vws --json
  POLYWIRE_ENDPOINTS__WEB__LISTEN=:3001 broker check
  generate-config | broker check --config -`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd.InOrStdin(), cmd.OutOrStdout()) },
	}
	c.settings.add(cmd.Flags())
	cmd.Flags().BoolVar(&c.matrix, "matrix", false, "print what the formats carry to one another")
	cmd.Flags().StringSliceVar(&c.endpoints, "endpoint", nil, "an endpoint for --matrix; may be repeated; default: all")
	cmd.Flags().BoolVar(&c.json, "json", false, "print JSON, for programs")
	return cmd
}

// checked is what the command prints as JSON. The names are stable: programs read them.
type checked struct {
	Endpoints []checkedEndpoint `json:"endpoints"`
	Bridges   []checkedBridge   `json:"bridges"`
	// Admin is the URL of the metrics; "" if there are none.
	Admin string `json:"admin"`
	// Matrix is there only if it was wanted.
	Matrix *matrix.Matrix `json:"matrix,omitempty"`
}

// checkedEndpoint is a [polywire.EndpointInfo].
type checkedEndpoint struct {
	Name     string `json:"name"`
	Protocol string `json:"protocol"`
	URL      string `json:"url"`
	HTTP     string `json:"http,omitempty"`
}

func (c *checking) run(stdin io.Reader, stdout io.Writer) error {
	if len(c.endpoints) > 0 && !c.matrix {
		return errors.New("--endpoint chooses the endpoints of --matrix, which is missing")
	}
	cfg, err := c.settings.load(stdin)
	if err != nil {
		return err
	}
	if err := polywire.Check(cfg); err != nil {
		return err
	}
	var m *matrix.Matrix
	if c.matrix {
		if m, err = matrixOf(cfg, c.endpoints); err != nil {
			return err
		}
	}
	if c.json {
		return printChecked(stdout, cfg, m)
	}
	if err := printEndpoints(stdout, polywire.Endpoints(cfg), polywire.AdminURL(cfg)); err != nil {
		return err
	}
	if err := printBridges(stdout, cfg); err != nil || m == nil {
		return err
	}
	if _, err := fmt.Fprintln(stdout); err != nil {
		return fmt.Errorf("writing the matrix: %w", err)
	}
	return m.WriteText(stdout)
}

func printChecked(w io.Writer, cfg *config.Config, m *matrix.Matrix) error {
	out := checked{Endpoints: []checkedEndpoint{}, Bridges: checkBridges(cfg), Admin: polywire.AdminURL(cfg), Matrix: m}
	for _, ep := range polywire.Endpoints(cfg) {
		out.Endpoints = append(out.Endpoints, checkedEndpoint(ep))
	}
	return printJSON(w, out)
}

// matrixOf returns the matrix of the endpoints with these names, of all if there are none.
func matrixOf(cfg *config.Config, only []string) (*matrix.Matrix, error) {
	endpoints := cfg.Endpoints
	if len(only) > 0 {
		endpoints = nil
	}
	for _, name := range only {
		i := slices.IndexFunc(cfg.Endpoints, func(ep config.Endpoint) bool { return ep.Name == name })
		if i < 0 {
			var names []string
			for _, ep := range cfg.Endpoints {
				names = append(names, ep.Name)
			}
			return nil, fmt.Errorf("--endpoint %s: the configuration has no such endpoint; endpoints: %s", name, strings.Join(names, ", "))
		}
		endpoints = append(endpoints, cfg.Endpoints[i])
	}
	m := matrix.OfConfigured(endpoints)
	return &m, nil
}

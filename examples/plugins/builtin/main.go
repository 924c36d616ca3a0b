// Command builtin runs a format that is built into the broker as a plugin: the proof
// that a plugin can do what a built-in format can.
//
//	endpoints:
//	  - name: bots
//	    protocol: wubsub
//	    plugin: {command: [./builtin, wubsub]}
package main

import (
	"fmt"
	"os"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/plugin/sdk"
)

func main() {
	var names []string
	for _, p := range polywire.Protocols() {
		if len(os.Args) == 2 && p.Name == os.Args[1] {
			sdk.Serve(p)
		}
		names = append(names, p.Name)
	}
	fmt.Fprintf(os.Stderr, "builtin: the argument must be one of %v\n", names)
	os.Exit(2)
}

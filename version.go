package polywire

import "runtime/debug"

// Version returns the version of this module in the running program, or "devel"
// with the commit, if that is known, for a build from a checkout.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	return version(info)
}

func version(info *debug.BuildInfo) string {
	const path = "github.com/polywire/polywire"
	main := info.Main
	if main.Path != path {
		for _, dep := range info.Deps {
			if dep.Path == path {
				return dep.Version
			}
		}
	}
	if main.Path == path && main.Version != "" && main.Version != "(devel)" {
		return main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && main.Path == path {
			return "devel-" + s.Value[:min(12, len(s.Value))]
		}
	}
	return "devel"
}

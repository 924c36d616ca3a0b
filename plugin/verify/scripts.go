package verify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/polywire/polywire"
	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/conversations"
	"github.com/polywire/polywire/conversations/stage"
	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/plugin"
)

// conversations returns a check for each script of the author.
func (v *verifier) conversations() []check {
	const do = "the script and the plugin differ: mend one of them"
	none := func(why string, err error) []check {
		return []check{{"conversations", func(context.Context) (string, error) {
			if err != nil {
				return "", err
			}
			return "", unfounded(why)
		}, "name the folder with --conversations", false}}
	}
	if v.Options.Conversations == "" {
		return none("there is no folder of conversations; name it with --conversations", nil)
	}
	files, err := filepath.Glob(filepath.Join(v.Options.Conversations, "*.txt"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("there is no *.txt in the folder %q", v.Options.Conversations)
	}
	if err != nil {
		return none("", err)
	}
	var checks []check
	for _, file := range files {
		checks = append(checks, check{"conversation " + filepath.Base(file), func(ctx context.Context) (string, error) {
			return "", v.play(ctx, file)
		}, do, false})
	}
	return checks
}

// play plays one script.
func (v *verifier) play(ctx context.Context, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	script, err := conversations.Parse(file, text)
	if err != nil {
		return err
	}
	script.Timeout += v.Slack
	return conversations.Patiently(script, func(s *conversations.Script) error { return v.playScript(ctx, s) })
}

func (v *verifier) playScript(ctx context.Context, script *conversations.Script) (err error) {
	player, err := conversations.NewPlayer(script, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, player.Close()) }()
	var names []string
	for _, p := range v.protocols(core.Protocol{Name: v.facts.format}) {
		names = append(names, p.Name)
	}
	yaml, err := player.Config(names)
	if err != nil {
		return err
	}
	cfg, end, err := v.load(yaml)
	if err != nil {
		return fmt.Errorf("%s: the script's configuration: %w", script.File, err)
	}
	defer end()
	return stage.Play(ctx, player, cfg, v.Log)
}

// protocols are those that are built in and that of the plugin, which replaces the one
// of its name.
func (v *verifier) protocols(own core.Protocol) []core.Protocol {
	all := slices.DeleteFunc(polywire.Protocols(), func(p core.Protocol) bool { return p.Name == own.Name })
	return append(all, own)
}

// load loads a configuration. The plugin translates at each endpoint that names a plugin,
// whatever its command, or the plugin's format. end ends the processes that described the
// endpoints; it is called when the broker has ended.
func (v *verifier) load(yaml string) (cfg *config.Config, end func(), err error) {
	inquiry := plugin.NewInquiry(v.Log)
	defer func() {
		if err != nil {
			inquiry.Close()
		}
	}()
	ask := func(endpoint string, o plugin.Options) (core.Protocol, error) {
		p, err := inquiry.Protocol(endpoint, o)
		return v.recorded(p), err
	}
	own, err := ask(v.facts.format, v.Plugin)
	if err != nil {
		return nil, nil, err
	}
	cfg, err = config.Load(config.Source{
		Text: yaml,
		Set:  []config.Override{{From: "verify", Key: "admin.listen", Value: "127.0.0.1:0"}},
		Plugin: func(endpoint string, p config.Plugin) (core.Protocol, error) {
			o := v.Plugin
			o.Processes, o.Grace, o.MTLS = p.Processes, p.Grace, p.MTLS
			o.AnswerTimeout = max(p.AnswerTimeout, v.Plugin.AnswerTimeout)
			o.StartTimeout = max(p.StartTimeout, v.Plugin.StartTimeout)
			return ask(endpoint, o)
		},
	}, v.protocols(own))
	return cfg, inquiry.Close, err
}

// recorded returns p with the options of the verification as defaults, and formats that
// are recorded.
func (v *verifier) recorded(p core.Protocol) core.Protocol {
	p.Options = func() any {
		defaults := maps.Clone(v.Options.Options)
		return &defaults
	}
	make := p.New
	p.New = func(options any, max int) (core.Format, error) {
		f, err := make(options, max)
		if err != nil {
			return nil, err
		}
		return v.heard.listen(f), nil
	}
	return p
}

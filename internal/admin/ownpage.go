package admin

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"
)

// built are the files of the page for operators, which Vite makes of those in page/src.
//
//go:embed page/dist
var built embed.FS

// pagePolicy lets the page load and ask nothing but this server, and run no script that stands in a document.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// pageFile is a file of the page as it is served.
type pageFile struct {
	kind, etag      string
	whole, squeezed []byte
}

// pageFiles are the files of the page by their path. They are compressed once, when the first of them is asked for.
var pageFiles = sync.OnceValues(func() (map[string]pageFile, error) {
	all := make(map[string]pageFile)
	for at, file := range map[string]struct{ name, kind string }{
		"/":              {"index.html", "text/html; charset=utf-8"},
		"/page/page.js":  {"page/page.js", "text/javascript; charset=utf-8"},
		"/page/page.css": {"page/page.css", "text/css; charset=utf-8"},
	} {
		whole, err := built.ReadFile(path.Join("page/dist", file.name))
		if err != nil {
			return nil, fmt.Errorf("reading the page: %w", err)
		}
		var squeezed bytes.Buffer
		to, _ := gzip.NewWriterLevel(&squeezed, gzip.BestCompression) // the level is one that there is
		if _, err := to.Write(whole); err != nil {
			return nil, fmt.Errorf("compressing the page: %w", err)
		}
		if err := to.Close(); err != nil {
			return nil, fmt.Errorf("compressing the page: %w", err)
		}
		sum := sha256.Sum256(whole)
		all[at] = pageFile{file.kind, `"` + hex.EncodeToString(sum[:12]) + `"`, whole, squeezed.Bytes()}
	}
	return all, nil
})

// servePage serves the files of the page, which are for everybody: what they show the page asks for with the token of its reader.
func servePage(mux *http.ServeMux) {
	for _, at := range []string{"/{$}", "/page/page.js", "/page/page.css"} {
		mux.HandleFunc("GET "+at, func(w http.ResponseWriter, r *http.Request) {
			files, err := pageFiles()
			if err != nil {
				answer(w, http.StatusInternalServerError, err.Error())
				return
			}
			files[r.URL.Path].serve(w, r)
		})
	}
}

func (f pageFile) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache") // a new broker has a new page
	h.Set("Vary", "Accept-Encoding")
	body, etag := f.whole, f.etag
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		body, etag = f.squeezed, strings.TrimSuffix(f.etag, `"`)+`-gz"`
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	// If this fails the client has gone, and there is nobody to tell.
	_, _ = w.Write(body)
}

// ownPage recognizes what the page of this server asks for. Nil recognizes nothing.
type ownPage struct {
	// Static after construction.
	hosts []string // names of the server; here "*" is none
}

// asks reports whether a request is sent by the server's own page. Only a page of this very origin can send X-Polywire: page
// without a question that the server does not answer. And the name by which it came must be one that nobody else can point
// here: else a page of another site would be of this origin.
func (p *ownPage) asks(r *http.Request) bool {
	if p == nil || r.Header.Get("X-Polywire") != "page" || !p.named(r) {
		return false
	}
	if site := r.Header.Values("Sec-Fetch-Site"); len(site) > 1 || cmp.Or(r.Header.Get("Sec-Fetch-Site"), "same-origin") != "same-origin" {
		return false
	}
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return true
	}
	origin, err := url.Parse(origins[0])
	return len(origins) == 1 && err == nil && strings.EqualFold(origin.Host, r.Host) &&
		(origin.Scheme == "https" || origin.Scheme == "http" && r.TLS == nil)
}

func (p *ownPage) named(r *http.Request) bool {
	name := hostOf(r.Host)
	if _, err := netip.ParseAddr(name); err == nil || name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	for _, one := range p.hosts {
		if one != "*" && strings.EqualFold(one, name) {
			return true
		}
	}
	return false
}

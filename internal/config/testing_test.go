package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

func parseURL(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil {
		panic(err)
	}
	return u
}

func apiURL(text string) func(*Config) {
	return func(c *Config) { c.APIURL = parseURL(text) }
}

// plain returns c without positions and what sources must not return.
func plain(c Config) Config {
	c.Tokens = slices.Clone(c.Tokens)
	for i := range c.Tokens {
		t := &c.Tokens[i]
		t.Source.at, t.Source.published, t.expiryAt = position{}, nil, position{}
	}
	return c
}

// show returns all of a configuration, as Config's own methods do not.
func show(c Config) string {
	type bare Config
	var text strings.Builder
	fmt.Fprintf(&text, "%+v", bare(plain(c)))
	for _, token := range c.Tokens {
		fmt.Fprintf(&text, "\n\t%s: %s %q", token.Name, token.Source, token.Source.text.Reveal())
	}
	return text.String()
}

// The names of the built files do not change, so that the broker can name them.
export default {
  base: "/",
  build: {
    assetsInlineLimit: 0,
    modulePreload: false,
    rollupOptions: { output: { entryFileNames: "page/page.js", assetFileNames: "page/page[extname]" } },
    outDir: "dist",
  },
};

/* A worker thread that sends back what it is sent. */

declare const self: Worker

self.onmessage = ({ data }: MessageEvent) => self.postMessage(data)

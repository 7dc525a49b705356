export { type HttpAnswer, HttpError, type HttpRequest } from "./message.ts";
export {
  defaultPatience,
  errorBody,
  type HttpHandler,
  type HttpPatience,
  serveConnection,
} from "./serve_connection.ts";

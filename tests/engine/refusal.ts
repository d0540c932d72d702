/** A refusal in the words of the engine; the routes answer with it. */
export class Refusal extends Error {
  override readonly name = "Refusal";

  constructor(readonly status: number, message: string) {
    super(message);
  }
}

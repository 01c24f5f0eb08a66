//! `/admin/people/export`: everything about a person, as a zip for that person.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data, ServiceConfig},
};
use askama::Template;

use super::Whose;
use crate::{
    http::{
        HttpError,
        api::{Api, access::usual_id, users::everything_about},
        pages::{
            Pages,
            form::{Act, Form},
            shell::{Shell, answer},
            visitor::{PageError, Visitor},
        },
    },
    identity::Identity,
    xapi::Violations,
};

pub const HERE: &str = "/admin/people/export";

pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/people/export").get(ask).post(export));
}

#[derive(Template)]
#[template(path = "export.html", config = "src/http/pages/askama.toml")]
struct Ask {
    shell: Shell,
    /// Whether it is the tenant of who asks: a key reads about people of its own tenant alone.
    is_own: bool,
}

async fn ask(
    visitor: Visitor,
    pages: Data<Pages>,
    identity: Data<Identity>,
    req: HttpRequest,
) -> Result<HttpResponse, PageError> {
    let whose = Whose::of(&visitor, &identity, &Form::of_address(&req)?).await?;
    let page =
        Ask { is_own: whose.id == visitor.caller.tenant, shell: whose.shell(&visitor, &pages, HERE, "Subject access") };
    Ok(answer(&page)?)
}

async fn export(act: Act, api: Data<Api>) -> Result<HttpResponse, PageError> {
    let Act { visitor, form } = act;
    visitor.tenant("")?;
    let user = form.given("user").map(usual_id);
    let user = user.ok_or_else(|| HttpError::from(Violations::whole("page.export", "name the user by an id")))?;
    Ok(everything_about(&visitor.caller, &api, user, form.text("mentions") == "yes").await?)
}

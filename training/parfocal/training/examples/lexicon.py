"""Common English words, so that everyday text needs few tokens and is not wholly new to the base."""


def listed(words: str) -> tuple[str, ...]:
    """The words of a text, as they are separated by spaces."""
    return tuple(words.split())


LEXICON = listed(
    "able about above accept account across act add after again against agree all allow almost already also "
    "always among and another answer any appear apply area arrive article ask attend available away back "
    "bad bank because become before begin behind believe best better between big bill bit board book both "
    "box break bring broken budget build business busy but buy call cancel card care carry case cause "
    "change charge check choose claim clean clear close coffee cold come common company complete confirm "
    "contact continue cost could count couple course cover crack customer cut damage date day deal decide "
    "delay deliver delivery department desk detail different direct discuss door double down draft draw "
    "during each early easy end enough enter equipment even event ever every everyone exact example "
    "exchange expect explain extra fact fail fall family far fast fault few figure file fill final find "
    "fine finish first fix floor follow food form former found free friend from full further gift give glad "
    "go good great group grow half hand handle happen happy hard have hear heavy help here high hold "
    "holiday home hope hot hour house how however idea if important include inform inside instead into "
    "invoice issue join just keep key kind know large last late later lead learn least leave left less let "
    "level light like line list little long look lose lot low make manager many mark matter mean meet "
    "meeting member message middle might mind miss missing model moment money month more most move much "
    "must near need never new news next nice night none normal note nothing notice now of off offer office "
    "often old once only open or order other our out over own pack package page paid paper part party pass "
    "past pay payment people perhaps person phone piece place plan please point policy possible post "
    "present price print problem product project promise provide public purchase put quality question quick "
    "quite rather reach read ready real reason receive recent record refund regard release remain remember "
    "remind remove repair repeat replace reply report request require rest result return review right ring "
    "room rule run safe sale same save say schedule screen second see seem sell send serious serve service "
    "set several share ship short should show side sign simple since size small some soon sort sound space "
    "speak special staff stand start state stay step still stop store story strange strong such supply "
    "support sure system take talk team tell than thank that their them then there these they thing think "
    "this those through time today together tomorrow too tool top touch toward town track trade training "
    "transfer travel trial trouble true try turn two type under unit until up update upon urgent use usual "
    "very view visit wait walk want warm warranty watch way week well what when where which while who whole "
    "why wide will wish with within without woman word work working worry would write wrong year yes "
    "yesterday yet you young your arrived asked called changed charged closed damaged delivered finished "
    "helped moved needed opened ordered received returned sent shipped started stopped tried used waiting "
    "wanted"
)
